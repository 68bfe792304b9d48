/** The table of all commands. */
import type { Command, Title } from "../app/command.ts";

/** A command, loaded only when it is needed. */
export interface Entry extends Title {
  // deno-lint-ignore no-explicit-any -- each command has options of its own
  load(): Promise<{ default: Command<any> }>;
}

export const COMMANDS: readonly Entry[] = [
  {
    name: "echo-server",
    group: "Sockets",
    summary: "send every byte back",
    load: () => import("./echo_server.ts"),
  },
  {
    name: "echo-client",
    group: "Sockets",
    summary: "send stdin to a socket, and print what comes back",
    load: () => import("./echo_client.ts"),
  },
  {
    name: "pub",
    group: "ZeroMQ",
    summary: "publish each line to all subscribers",
    load: () => import("./pub.ts"),
  },
  {
    name: "sub",
    group: "ZeroMQ",
    summary: "print what publishers send",
    load: () => import("./sub.ts"),
  },
  {
    name: "push",
    group: "ZeroMQ",
    summary: "send each line to one of the pullers, in turn",
    load: () => import("./push.ts"),
  },
  {
    name: "pull",
    group: "ZeroMQ",
    summary: "print what pushers send, or run a command for each message",
    load: () => import("./pull.ts"),
  },
  {
    name: "req",
    group: "ZeroMQ",
    summary: "send each line as a request and print its reply",
    load: () => import("./req.ts"),
  },
  {
    name: "rep",
    group: "ZeroMQ",
    summary: "answer requests: with --echo, --exec, -D, or line by line from stdin",
    load: () => import("./rep.ts"),
  },
  {
    name: "pair",
    group: "ZeroMQ",
    summary: "send each line to the one peer, and print what it sends: a netcat for messages",
    load: () => import("./pair.ts"),
  },
  {
    name: "dealer",
    group: "ZeroMQ",
    summary: "send each line to one of the peers, in turn, and print what they send",
    load: () => import("./dealer.ts"),
  },
  {
    name: "router",
    group: "ZeroMQ",
    summary: "talk to many peers by routing id, or answer each message with a command",
    load: () => import("./router.ts"),
  },
  {
    name: "xpub",
    group: "ZeroMQ",
    summary: "publish each line, and print the subscriptions as they come",
    load: () => import("./xpub.ts"),
  },
  {
    name: "xsub",
    group: "ZeroMQ",
    summary: "subscribe with the lines of stdin, and print what publishers send",
    load: () => import("./xsub.ts"),
  },
  {
    name: "radio",
    group: "ZeroMQ",
    summary: "send each line to everybody in a group",
    load: () => import("./radio.ts"),
  },
  {
    name: "dish",
    group: "ZeroMQ",
    summary: "print what is sent to some groups",
    load: () => import("./dish.ts"),
  },
  {
    name: "client",
    group: "ZeroMQ",
    summary: "talk to servers: as dealer, with messages of one frame",
    load: () => import("./client.ts"),
  },
  {
    name: "server",
    group: "ZeroMQ",
    summary: "talk to many clients by number, or answer each message with a command",
    load: () => import("./server.ts"),
  },
  {
    name: "replay",
    group: "ZeroMQ",
    summary: "send a recording with its original timing",
    load: () => import("./replay.ts"),
  },
  {
    name: "proxy",
    group: "ZeroMQ",
    summary: "forward messages between two sides: a forwarder, a streamer or a queue",
    load: () => import("./proxy.ts"),
  },
  {
    name: "queue serve",
    group: "Queue",
    summary: "be a broker for programs that speak AMQP 0-9-1, RabbitMQ's clients for instance",
    load: () => import("./queue/serve.ts"),
  },
  {
    name: "queue run",
    group: "Queue",
    summary: "run a command with a broker of its own, for tests",
    load: () => import("./queue/run.ts"),
  },
  {
    name: "queue put",
    group: "Queue",
    summary: "put each line into a queue, and wait until the broker has it",
    load: () => import("./queue/put.ts"),
  },
  {
    name: "queue get",
    group: "Queue",
    summary: "print what is in a queue, or run a command for each message",
    load: () => import("./queue/get.ts"),
  },
  {
    name: "queue peek",
    group: "Queue",
    summary: "show the first messages of a queue and leave them there",
    load: () => import("./queue/peek.ts"),
  },
  {
    name: "queue list",
    group: "Queue",
    summary: "list the queues of a broker",
    load: () => import("./queue/list.ts"),
  },
  {
    name: "queue info",
    group: "Queue",
    summary: "show what is known of a queue",
    load: () => import("./queue/info.ts"),
  },
  {
    name: "queue declare",
    group: "Queue",
    summary: "create a queue, or check that it is as it should be",
    load: () => import("./queue/declare.ts"),
  },
  {
    name: "queue bind",
    group: "Queue",
    summary: "let a queue have what an exchange routes to it",
    load: () => import("./queue/bind.ts"),
  },
  {
    name: "queue unbind",
    group: "Queue",
    summary: "end a binding of a queue",
    load: () => import("./queue/unbind.ts"),
  },
  {
    name: "queue purge",
    group: "Queue",
    summary: "empty a queue",
    load: () => import("./queue/purge.ts"),
  },
  {
    name: "queue delete",
    group: "Queue",
    summary: "delete a queue",
    load: () => import("./queue/delete.ts"),
  },
  {
    name: "queue move",
    group: "Queue",
    summary: "move all messages from one queue to another",
    load: () => import("./queue/move.ts"),
  },
  {
    name: "queue redrive",
    group: "Queue",
    summary: "give dead letters back to the queues that they died in",
    load: () => import("./queue/redrive.ts"),
  },
  {
    name: "keygen",
    group: "Tools",
    summary: "make a CURVE key pair",
    load: () => import("./keygen.ts"),
  },
  {
    name: "probe",
    group: "Tools",
    summary: "find out what is at an endpoint, and what to try next",
    load: () => import("./probe.ts"),
  },
  {
    name: "completion",
    group: "Tools",
    summary: "print a completion script for bash, zsh, fish or powershell",
    load: () => import("./completion.ts"),
  },
];
