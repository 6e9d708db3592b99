import { z } from "zod";
import { type EndpointName, endpoints } from "./api.js";

/** The JSON Schemas (draft 2020-12) of an endpoint, as texts: what a caller may send and what comes back. */
export interface EndpointSchemas {
  readonly request: string;
  readonly reply: string;
}

const made = new Map<EndpointName, EndpointSchemas>();

/** Made once an endpoint: the answer of `$SRV.INFO` holds all of them. */
export function jsonSchemasOf(endpoint: EndpointName): EndpointSchemas {
  const known = made.get(endpoint);
  if (known !== undefined) return known;
  const { request, reply } = endpoints[endpoint];
  const schemas = {
    request: JSON.stringify(z.toJSONSchema(request, { io: "input" })),
    reply: JSON.stringify(z.toJSONSchema(reply, { io: "output" })),
  };
  made.set(endpoint, schemas);
  return schemas;
}
