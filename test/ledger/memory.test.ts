import { auditSuite } from "./audit-suite.js";
import { ledgerSuite } from "./ledger-suite.js";
import { openMemoryWorld } from "./memory-world.js";

ledgerSuite("the ledger in memory", openMemoryWorld);
auditSuite("the audit log in memory", openMemoryWorld);
