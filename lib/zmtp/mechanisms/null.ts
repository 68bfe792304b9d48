import { encodeCommand } from "../frame_encoder.ts";
import type { Mechanism, Secured, Talk } from "./mechanism.ts";
import { authenticate, type ZapOptions } from "./zap.ts";

/**
 * NULL (RFC 37, 3.2): both sides say READY, and nothing is secret.
 *
 * @param options lets a handler look at each peer's address; nobody is asked unless told
 */
export function nullMechanism(options?: ZapOptions): Mechanism {
  return {
    name: "NULL",
    asServer: false,
    optional: options === undefined,
    credentials: "our address",
    shake: (talk) => shake(talk, options),
  };
}

async function shake(talk: Talk, options: ZapOptions | undefined): Promise<Secured> {
  const userId = options === undefined ? "" : await authenticate(talk, "NULL", options, []);
  const ready = encodeCommand("READY", talk.metadata);
  // A libzmq that does not like our type hangs up, often before it told us its own. So whoever dialed, and would try
  // again and again, looks first; an acceptor that does the same gets our word a little later.
  const heard = talk.dialed && await talk.hears();
  if (!heard) await talk.send(ready);
  await talk.admit(await talk.take("READY"));
  if (heard) await talk.send(ready);
  return { userId };
}
