// Round trips with the zeromq package of npm on Node, as trips.ts: trips.mjs FOLDER rep ENDPOINT | req ENDPOINT COUNT
import { createRequire } from "node:module";

const WARM_UP = 2000;
const [folder, role, endpoint, count] = process.argv.slice(2);
const zmq = createRequire(`${folder}/`)("zeromq");
const body = new Uint8Array(64).fill(120);

if (role === "rep") {
  const rep = new zmq.Reply();
  await rep.bind(endpoint);
  console.error("ready");
  for await (const frames of rep) await rep.send(frames);
} else {
  const req = new zmq.Request();
  req.connect(endpoint);
  const trips = async (count) => {
    for (let i = 0; i < count; i++) {
      await req.send(body);
      await req.receive();
    }
  };
  await trips(WARM_UP);
  const began = performance.now();
  await trips(Number(count));
  console.log((performance.now() - began) * 1000 / Number(count));
}
