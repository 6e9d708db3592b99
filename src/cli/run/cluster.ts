import { parseNatsAddress } from "../../bus/nats-address.js";
import type { NatsBus } from "../../bus/nats-bus.js";

const leaseOnOneServerMs = 3_000;
/** NATS itself may take 5 to 8 s to replace the leader of a stream. */
const leaseOnClusterMs = 12_000;
const clusterServersMin = 3;

/** What fits the NATS servers that there are, as far as the one that this process is connected to knows the others. */
export interface ClusterDefaults {
  /** Copies of each stream that is made. */
  readonly replicas: number;
  readonly leaseMs: number;
}

/** @param url the addresses that were given: the others may not have joined yet when this process starts */
export function clusterDefaults({ connection }: NatsBus, url: string): ClusterDefaults {
  const { cluster, connect_urls: known = [] } = connection.info ?? {};
  const given = parseNatsAddress(url)?.servers ?? [];
  const isCluster = cluster !== undefined && Math.max(known.length, given.length) >= clusterServersMin;
  return {
    replicas: isCluster ? clusterServersMin : 1,
    leaseMs: isCluster ? leaseOnClusterMs : leaseOnOneServerMs,
  };
}
