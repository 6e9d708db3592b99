import type { TestNats, TestNatsOptions } from "./test-nats.js";

/** Refuses until the container suite is set up. */
export function startNatsContainer(_options: TestNatsOptions): Promise<TestNats> {
  return Promise.reject(new Error("set up by npm run test:containers"));
}
