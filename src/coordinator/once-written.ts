import type { Writer } from "./writer.js";

/**
 * Answers a request that takes something out so that nobody is told too soon that it is gone: a refusal may be of what the same
 * request, sent before, has done, and that may still be being written. Who repeats a request takes such a refusal for its answer.
 */
export function onceWritten<Request, Reply>(
  writer: Pick<Writer, "flushed">,
  takeOut: (request: Request) => Promise<Reply>,
): (request: Request) => Promise<Reply> {
  return async (request) => {
    try {
      return await takeOut(request);
    } catch (error) {
      await writer.flushed();
      throw error;
    }
  };
}
