import { withNats } from "../kit/nats.js";
import { auditSuite } from "./audit-suite.js";
import { ledgerSuite } from "./ledger-suite.js";
import { openNatsWorld } from "./nats-world.js";

const nats = withNats();

ledgerSuite("the ledger in JetStream", () => openNatsWorld(nats()));
auditSuite("the audit log in JetStream", () => openNatsWorld(nats()));
