/* The reference tool of the benchmark: sends and receives lines over PUSH and PULL with libzmq, in efficient C.
 *
 *   line_zmq pull ENDPOINT COUNT > out     binds, prints "ready" on stderr, ends after COUNT messages
 *   line_zmq push ENDPOINT < in            connects, sends a message for each line
 *
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

static int push(void *socket, const char *endpoint) {
  char *line = NULL;
  size_t capacity = 0;
  ssize_t length;
  if (zmq_connect(socket, endpoint) != 0) return fail("connect");
  while ((length = getline(&line, &capacity, stdin)) > 0) {
    if (line[length - 1] == '\n') length--;
    if (zmq_send(socket, line, length, 0) < 0) return fail("send");
  }
  free(line);
  return 0;
}

static int pull(void *socket, const char *endpoint, long count) {
  zmq_msg_t message;
  if (zmq_bind(socket, endpoint) != 0) return fail("bind");
  fputs("ready\n", stderr);
  zmq_msg_init(&message);
  for (long i = 0; i < count; i++) {
    if (zmq_msg_recv(&message, socket, 0) < 0) return fail("receive");
    fwrite(zmq_msg_data(&message), 1, zmq_msg_size(&message), stdout);
    putchar('\n');
  }
  zmq_msg_close(&message);
  return fflush(stdout) == 0 ? 0 : 1;
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

int main(int argc, char **argv) {
  int pushes = argc == 3 && strcmp(argv[1], "push") == 0;
  if (!pushes && (argc != 4 || strcmp(argv[1], "pull") != 0)) {
    fputs("usage: line_zmq push ENDPOINT | line_zmq pull ENDPOINT COUNT\n", stderr);
    return 2;
  }
  static char in[1 << 16], out[1 << 16];
  setvbuf(stdin, in, _IOFBF, sizeof in);
  setvbuf(stdout, out, _IOFBF, sizeof out);
  void *context = zmq_ctx_new();
  void *socket = zmq_socket(context, pushes ? ZMQ_PUSH : ZMQ_PULL);
  int status = encrypt(socket, !pushes);
  if (status == 0) status = pushes ? push(socket, argv[2]) : pull(socket, argv[2], atol(argv[3]));
  zmq_close(socket);
  zmq_ctx_term(context);
  return status;
}
