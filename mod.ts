/**
 * mqcat's transport library: ZeroMQ sockets, an embedded AMQP broker, byte streams and echo, on Deno, Bun and Node.
 *
 * @module
 */
export { publishTo, pull, pushTo, reply, requestTo, subscribe } from "./lib/patterns/api/open.ts";
export type {
  Asking,
  Incoming,
  PatternMessage,
  PatternMessageOptions,
  PatternPullOptions,
  PatternReplyOptions,
  PatternRequestOptions,
  PatternSendOptions,
  PatternSubscribeOptions,
  PatternWaitOptions,
  Publishing,
  PulledMessage,
  Pushing,
  RequestHandler,
  Service as PatternService,
} from "./lib/patterns/api/types.ts";
export {
  AddressInUseError,
  AuthError,
  CertificateError,
  ClosedError,
  EndpointError,
  type ErrorCode,
  HandshakeTimeoutError,
  IncompatiblePeerError,
  LimitError,
  MissingCertificateError,
  MqcatError,
  ProtocolError,
  RefusedError,
  UnreachableError,
} from "./lib/errors.ts";
export { AwayError } from "./lib/link/away.ts";
export type { SyncMode } from "./lib/broker/core/journal/options.ts";
export { AmqpError, type AmqpErrorOptions, type AmqpErrorScope } from "./lib/amqp/amqp_error.ts";
export { connectAmqp } from "./lib/amqp/client/api/client.ts";
export type {
  AmqpClient,
  AmqpConsumer,
  AmqpMessage,
  AmqpRoute,
  AmqpWaitOptions,
  ConsumeOptions,
  ExchangeOptions,
  PublishOptions,
} from "./lib/amqp/client/api/types.ts";
export type { AmqpEvent, AmqpOptions } from "./lib/amqp/client/link.ts";
export type { ClusterOptions } from "./lib/amqp/client/near_leader.ts";
export type { QueueOptions, QueueState } from "./lib/amqp/client/queues.ts";
export type { BasicProperties } from "./lib/amqp/properties.ts";
export {
  Decimal,
  type FieldTable,
  type FieldValue,
  type NumberLetter,
  Timestamp,
  TypedNumber,
} from "./lib/amqp/types/field_value.ts";
export type { Clock, Timer } from "./lib/broker/core/clock.ts";
export type { BrokerFaults } from "./lib/broker/testing/faults.ts";
export { type EmbeddedBroker, openBroker } from "./lib/broker/open.ts";
export type { QueuedMessage } from "./lib/broker/testing/queued_message.ts";
export { TestClock, type TestClockOptions } from "./lib/broker/testing/test_clock.ts";
export type { CertLoginFrom } from "./lib/broker/core/users/certificate_name.ts";
export type { BrokerEvent, BrokerOptions } from "./lib/broker/options.ts";
export { connectEcho } from "./lib/echo/client.ts";
export type { EchoClient, EchoClientOptions } from "./lib/echo/client_types.ts";
export { serveEcho } from "./lib/echo/server.ts";
export type { EchoServer, EchoServerEvent, EchoServerOptions } from "./lib/echo/server_types.ts";
export { type Finding, probe, type ProbeOptions } from "./lib/probe/probe.ts";
export type {
  AmqpService,
  BannerService,
  Certificate,
  EchoService,
  HttpService,
  MqttService,
  Service,
  StompService,
  TlsService,
  ZeroMqService,
} from "./lib/probe/service.ts";
export { formatEndpoint, parseEndpoint } from "./lib/transport/endpoint.ts";
export type {
  Endpoint,
  HostEndpoint,
  InprocEndpoint,
  PathEndpoint,
  SourceAddress,
  WebEndpoint,
} from "./lib/transport/endpoint_types.ts";
export { TlsReload } from "./lib/transport/stream.ts";
export type {
  ByteStream,
  ConnectOptions,
  FrameStream,
  Listener,
  StreamSink,
  TlsOptions,
  TransportOptions,
  WebOptions,
} from "./lib/transport/stream.ts";
export { connect, listen } from "./lib/transport/transport.ts";
export { Batch } from "./lib/zmtp/batch.ts";
export type { HeartbeatTimes } from "./lib/zmtp/heartbeat.ts";
export { allowKeys, allowUsers, parseUsers, type PlainUsers } from "./lib/zmtp/mechanisms/access.ts";
export {
  curveClient,
  type CurveClientOptions,
  type CurveKey,
  type CurveKeyPair,
  curveServer,
  type CurveServerOptions,
  generateKeyPair,
} from "./lib/zmtp/mechanisms/curve.ts";
export { formatKeyFile, type KeyFile, parseKeyFile } from "./lib/zmtp/mechanisms/key_file.ts";
export type { Mechanism } from "./lib/zmtp/mechanisms/mechanism.ts";
export type { KeyPair } from "./lib/zmtp/mechanisms/nacl.ts";
export { nullMechanism } from "./lib/zmtp/mechanisms/null.ts";
export { plainClient, plainServer } from "./lib/zmtp/mechanisms/plain.ts";
export { decodeZ85, encodeZ85 } from "./lib/zmtp/mechanisms/z85.ts";
export type { ZapHandler, ZapOptions, ZapReply, ZapRequest } from "./lib/zmtp/mechanisms/zap.ts";
export type { SocketType } from "./lib/zmtp/socket_type.ts";
export type { ProbingOptions } from "./lib/zmq/connections/router_probe.ts";
export { Duplex } from "./lib/zmq/duplex.ts";
export type { SocketEvent } from "./lib/zmq/events.ts";
export { forward, type Forwarding, type Inspector } from "./lib/zmq/forward.ts";
export type { BatchConsumer } from "./lib/zmq/incoming/mailbox.ts";
export type { SocketOptions } from "./lib/zmq/options.ts";
export type { FanOutOptions } from "./lib/zmq/outgoing/fan_out.ts";
export type { Peer } from "./lib/zmq/peer.ts";
export { Receiver } from "./lib/zmq/receiver.ts";
export { RoundRobinSocket } from "./lib/zmq/round_robin_socket.ts";
export { RoutedSocket } from "./lib/zmq/routed_socket.ts";
export { type Outgoing, Sender } from "./lib/zmq/sender.ts";
export { Socket } from "./lib/zmq/socket.ts";
export { Client } from "./lib/zmq/types/client.ts";
export { Dealer } from "./lib/zmq/types/dealer.ts";
export { Dish } from "./lib/zmq/types/dish.ts";
export { Pair } from "./lib/zmq/types/pair.ts";
export { Pub, type PubOptions } from "./lib/zmq/types/pub.ts";
export { Pull } from "./lib/zmq/types/pull.ts";
export { Push } from "./lib/zmq/types/push.ts";
export { Radio, type RadioOptions } from "./lib/zmq/types/radio.ts";
export { type IncomingRequest, Rep } from "./lib/zmq/types/rep.ts";
export { type Asker, Req, type ReqOptions } from "./lib/zmq/types/req.ts";
export { Router, type RouterOptions } from "./lib/zmq/types/router.ts";
export { Server } from "./lib/zmq/types/server.ts";
export { Sub } from "./lib/zmq/types/sub.ts";
export { XPub, type XPubOptions } from "./lib/zmq/types/xpub.ts";
export { XSub, type XSubOptions } from "./lib/zmq/types/xsub.ts";
export type { WaitOptions } from "./lib/zmq/wait_options.ts";
