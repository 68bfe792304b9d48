/* The reference tool of the benchmark: lines and messages with libzmq, in efficient C.
 *
 *   line_zmq pull ENDPOINT COUNT > out          binds, ends after COUNT messages
 *   line_zmq push ENDPOINT < in                 connects, sends a message for each line
 *   line_zmq sub ENDPOINT COUNT > out           connects, subscribes to everything, ends after COUNT messages
 *   line_zmq pub ENDPOINT SUBSCRIBERS < in      binds, waits for the subscriptions, prints "subscribed" on stderr
 *                                               for each, sends a message for each line
 *   line_zmq rep ENDPOINT COUNT                 binds, sends COUNT requests back
 *   line_zmq req ENDPOINT < in > out            connects, sends a request for each line, prints the reply
 *
 * As in mqcat, @ENDPOINT binds and >ENDPOINT connects. A program that has bound prints "ready" on stderr.
 * With LINE_ZMQ_PUBLIC and LINE_ZMQ_SECRET in the environment (keys in Z85), both ends encrypt with CURVE.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

static int fail(const char *what) {
  fprintf(stderr, "line_zmq: %s: %s\n", what, zmq_strerror(zmq_errno()));
  return 1;
}

static int attach(void *socket, const char *endpoint, int binds) {
  if (*endpoint == '@' || *endpoint == '>') binds = *endpoint++ == '@';
  if (!binds) return zmq_connect(socket, endpoint) == 0 ? 0 : fail("connect");
  if (zmq_bind(socket, endpoint) != 0) return fail("bind");
  fputs("ready\n", stderr);
  return 0;
}

static int send_lines(void *socket) {
  char *line = NULL;
  size_t capacity = 0;
  ssize_t length;
  while ((length = getline(&line, &capacity, stdin)) > 0) {
    if (line[length - 1] == '\n') length--;
    if (zmq_send(socket, line, length, 0) < 0) return fail("send");
  }
  free(line);
  return 0;
}

static int print_messages(void *socket, long count) {
  zmq_msg_t message;
  zmq_msg_init(&message);
  for (long i = 0; i < count; i++) {
    if (zmq_msg_recv(&message, socket, 0) < 0) return fail("receive");
    fwrite(zmq_msg_data(&message), 1, zmq_msg_size(&message), stdout);
    putchar('\n');
  }
  zmq_msg_close(&message);
  return fflush(stdout) == 0 ? 0 : 1;
}

static int push(void *socket, long count) {
  (void)count;
  return send_lines(socket);
}

static int sub(void *socket, long count) {
  if (zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0) != 0) return fail("subscribe");
  return print_messages(socket, count);
}

static int pub(void *socket, long subscribers) {
  char subscription[64];
  for (long i = 0; i < subscribers; i++) {
    if (zmq_recv(socket, subscription, sizeof subscription, 0) < 0) return fail("subscription");
    fputs("subscribed\n", stderr);
  }
  return send_lines(socket);
}

static int rep(void *socket, long count) {
  zmq_msg_t message;
  zmq_msg_init(&message);
  for (long i = 0; i < count; i++) {
    if (zmq_msg_recv(&message, socket, 0) < 0) return fail("receive");
    if (zmq_msg_send(&message, socket, 0) < 0) return fail("send");
  }
  return 0;
}

static int req(void *socket, long count) {
  char *line = NULL;
  size_t capacity = 0;
  ssize_t length;
  zmq_msg_t message;
  (void)count;
  zmq_msg_init(&message);
  while ((length = getline(&line, &capacity, stdin)) > 0) {
    if (line[length - 1] == '\n') length--;
    if (zmq_send(socket, line, length, 0) < 0) return fail("send");
    if (zmq_msg_recv(&message, socket, 0) < 0) return fail("receive");
    fwrite(zmq_msg_data(&message), 1, zmq_msg_size(&message), stdout);
    putchar('\n');
    /* A reply is shown as soon as it arrives. */
    if (fflush(stdout) != 0) return 1;
  }
  free(line);
  return 0;
}

static int encrypt(void *socket, int serves) {
  const char *public = getenv("LINE_ZMQ_PUBLIC"), *secret = getenv("LINE_ZMQ_SECRET");
  char own_public[41], own_secret[41];
  int yes = 1;
  if (public == NULL || secret == NULL) return 0;
  if (serves) {
    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &yes, sizeof yes) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret, 41) != 0) return fail("CURVE");
  } else if (zmq_curve_keypair(own_public, own_secret) != 0 ||
             zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, own_public, 41) != 0 ||
             zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, own_secret, 41) != 0 ||
             zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, public, 41) != 0) return fail("CURVE");
  return 0;
}

static const struct mode {
  const char *name;
  int type, binds, arguments;
  int (*run)(void *socket, long count);
} MODES[] = {
  {"push", ZMQ_PUSH, 0, 3, push}, {"pull", ZMQ_PULL, 1, 4, print_messages}, {"pub", ZMQ_XPUB, 1, 4, pub},
  {"sub", ZMQ_SUB, 0, 4, sub},    {"req", ZMQ_REQ, 0, 3, req},    {"rep", ZMQ_REP, 1, 4, rep},
};

int main(int argc, char **argv) {
  const struct mode *mode = NULL;
  for (size_t i = 0; i < sizeof MODES / sizeof *MODES; i++) {
    if (argc == MODES[i].arguments && strcmp(argv[1], MODES[i].name) == 0) mode = &MODES[i];
  }
  if (mode == NULL) {
    fputs("usage: line_zmq push|req ENDPOINT | line_zmq pull|sub|pub|rep ENDPOINT COUNT\n", stderr);
    return 2;
  }
  static char in[1 << 16], out[1 << 16];
  setvbuf(stdin, in, _IOFBF, sizeof in);
  setvbuf(stdout, out, _IOFBF, sizeof out);
  void *context = zmq_ctx_new();
  void *socket = zmq_socket(context, mode->type);
  int status = encrypt(socket, mode->binds), yes = 1;
  /* A publisher blocks instead of dropping, as `pub --on-full block` does, and counts each subscription. */
  if (mode->type == ZMQ_XPUB && (zmq_setsockopt(socket, ZMQ_XPUB_NODROP, &yes, sizeof yes) != 0 ||
                                 zmq_setsockopt(socket, ZMQ_XPUB_VERBOSE, &yes, sizeof yes) != 0)) status = fail("XPUB");
  if (status == 0) status = attach(socket, argv[2], mode->binds);
  if (status == 0) status = mode->run(socket, argc == 4 ? atol(argv[3]) : 0);
  zmq_close(socket);
  zmq_ctx_term(context);
  return status;
}
