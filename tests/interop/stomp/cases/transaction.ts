import { cases } from "../case.ts";

export const transacting = cases("transaction", {
  "COMMIT - publishes in order, and then sends receipts": async (on) => {
    const peer = await on.connect();
    const destination = `/queue/${on.name("q")}`;
    await peer.call("BEGIN", { transaction: "t" });
    peer.send("SEND", { destination, transaction: "t", receipt: "r1" }, "a");
    peer.send("SEND", { destination, transaction: "t" }, "b");
    await peer.call("SEND", { destination }, "outside");
    peer.send("COMMIT", { transaction: "t" });
    await peer.take("RECEIPT");
    peer.send("SUBSCRIBE", { id: "1", destination });
    await peer.texts(3);
  },
  "ABORT - forgets everything": async (on) => {
    const peer = await on.connect();
    const queue = on.name("q");
    await peer.call("BEGIN", { transaction: "t" });
    peer.send("SEND", { destination: `/queue/${queue}`, transaction: "t" }, "a");
    await peer.call("ABORT", { transaction: "t" });
    await peer.call("SEND", { destination: `/queue/${queue}` }, "b");
    const channel = await on.amqp();
    await channel.ready(queue, 1);
  },
  "the end of the connection - is an ABORT": async (on) => {
    const peer = await on.connect();
    const queue = on.name("q");
    await peer.call("SEND", { destination: `/queue/${queue}` }, "a");
    await peer.call("BEGIN", { transaction: "t" });
    peer.send("SEND", { destination: `/queue/${queue}`, transaction: "t" }, "b");
    await peer.close();
    const channel = await on.amqp();
    await channel.ready(queue, 1);
  },
  "ACK in a transaction": async (on) => {
    const peer = await on.connect();
    const queue = on.name("q");
    await peer.call("SUBSCRIBE", { id: "s", destination: `/queue/${queue}`, ack: "client-individual" });
    for (const body of ["a", "b"]) await peer.call("SEND", { destination: `/queue/${queue}` }, body);
    const ids = [(await peer.take("MESSAGE")).headers["ack"]!, (await peer.take("MESSAGE")).headers["ack"]!];
    await peer.call("BEGIN", { transaction: "t" });
    await peer.call("ACK", { id: ids[0]!, transaction: "t" });
    await peer.call("COMMIT", { transaction: "t" });
    await peer.call("BEGIN", { transaction: "t" });
    await peer.call("ACK", { id: ids[1]!, transaction: "t" });
    await peer.call("ABORT", { transaction: "t" });
    await peer.close();
    const channel = await on.amqp();
    await channel.ready(queue, 1);
    await channel.get(queue, true);
  },
  "two transactions at the same time": async (on) => {
    const peer = await on.connect();
    const destination = `/queue/${on.name("q")}`;
    for (const transaction of ["t", "u"]) await peer.call("BEGIN", { transaction });
    for (const transaction of ["t", "u"]) {
      await peer.call("SEND", { destination: "/topic/none" }, transaction);
    }
    peer.send("SEND", { destination, transaction: "t" }, "t");
    peer.send("SEND", { destination, transaction: "u" }, "u");
    await peer.call("COMMIT", { transaction: "u" });
    await peer.call("COMMIT", { transaction: "t" });
    peer.send("SUBSCRIBE", { id: "1", destination });
    await peer.texts(2);
  },
  "BEGIN without a transaction": (on) => on.refused("BEGIN"),
  "COMMIT without a transaction": (on) => on.refused("COMMIT"),
  "COMMIT of an unknown transaction": (on) => on.refused("COMMIT", { transaction: "x" }),
  "ABORT of an unknown transaction": (on) => on.refused("ABORT", { transaction: "x" }),
  "SEND in an unknown transaction": (on) => on.refused("SEND", { transaction: "x", destination: "/topic/x" }),
  "a second BEGIN": [async (on) => {
    const peer = await on.connect();
    await peer.call("BEGIN", { transaction: "t" });
    peer.send("SEND", { destination: `/queue/${on.name("q")}`, transaction: "t" }, "forgotten");
    peer.send("BEGIN", { transaction: "t" });
    peer.send("DISCONNECT", { receipt: "end" });
    await peer.closed;
  }, {
    why: "a second BEGIN of an open transaction is an error; RabbitMQ forgets the first one",
    rabbit: /1 RECEIPT receipt-id="end"/,
    ours: /1 ERROR .*Bad transaction.*/,
  }],
});
