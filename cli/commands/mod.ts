/** The table of all commands. */
import type { Command, Title } from "../command.ts";

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
    name: "completion",
    group: "Tools",
    summary: "print a completion script for bash, zsh, fish or powershell",
    load: () => import("./completion.ts"),
  },
];
