/**
 * Preloaded by the tests on Bun: a property is tried for a short time only. Most of them are about code that no runtime changes,
 * and Deno tries them for as many inputs as they ask for.
 */
import fc from "fast-check";

fc.configureGlobal({ interruptAfterTimeLimit: 1000 });
