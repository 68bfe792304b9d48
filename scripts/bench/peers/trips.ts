/**
 * Round trips with the library, a promise for each: `trips.ts rep ENDPOINT`, `trips.ts req ENDPOINT COUNT`. The client prints
 * the time of a round trip in microseconds; the first trips warm the code up.
 */
import process from "node:process";
import { Rep, Req } from "../../../mod.ts";

const WARM_UP = 2000;
const [role, endpoint, count] = process.argv.slice(2);
const body = new Uint8Array(64).fill(120);

if (role === "rep") {
  await using rep = new Rep();
  await rep.bind(endpoint!);
  console.error("ready");
  for await (const request of rep) request.reply([...request.frames]);
} else {
  await using req = new Req();
  req.connect(endpoint!);
  const trips = async (count: number) => {
    for (let i = 0; i < count; i++) await req.request(body);
  };
  await trips(WARM_UP);
  const began = performance.now();
  await trips(Number(count));
  console.log((performance.now() - began) * 1000 / Number(count));
}
