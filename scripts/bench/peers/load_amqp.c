/* The load of the queue benchmark: publishers with confirms and consumers with acknowledgements, on librabbitmq.
 *
 *   load_amqp publish PORT QUEUE COUNT [-s SIZE] [-w WINDOW] [-c CONNECTIONS] [-t] [-f QUEUES]
 *   load_amqp consume PORT QUEUE COUNT [-p PREFETCH] [-k EVERY] [-c CONNECTIONS]
 *   load_amqp delete  PORT QUEUE [-f QUEUES]
 *
 * publish declares a durable queue and sends COUNT persistent messages (-t: transient ones) of SIZE bytes (default:
 * 100). At most WINDOW (default: 5000) of them are unconfirmed. With -f it declares QUEUE.0 to QUEUE.N-1, binds them to
 * amq.fanout, and publishes there; delete -f deletes them. consume receives COUNT messages and acknowledges every
 * EVERYth (default: 100) with `multiple`; -k 1 acknowledges each message. The time is measured from the moment when all
 * connections are ready to the last confirm, or to the reply of a method that is sent after the last acknowledgement.
 * stdout has one line of JSON.
 *
 * Output is corked until the program has to wait, so that packets hold many messages. The load must use as little CPU
 * as librabbitmq allows, so that the benchmark measures the broker.
 */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 64

static const char *mode, *queue;
static int port, connections = 1, size = 100, window = 5000, prefetch = 1000, every = 100, transient = 0, fan = 0;
static long count;

static pthread_barrier_t ready;

/* One connection and its share of the work. */
struct worker {
  pthread_t thread;
  long share, refused;
  double began, ended;
  amqp_connection_state_t link;
  int corked;
};

static void fail(const char *format, ...) {
  va_list values;
  va_start(values, format);
  fputs("load_amqp: ", stderr);
  vfprintf(stderr, format, values);
  fputc('\n', stderr);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static void check(amqp_rpc_reply_t reply, const char *what) {
  if (reply.reply_type == AMQP_RESPONSE_NORMAL) return;
  if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION) {
    amqp_channel_close_t *close = reply.reply.decoded;
    fail("%s: %.*s", what, (int)close->reply_text.len, (char *)close->reply_text.bytes);
  }
  fail("%s: %s", what, amqp_error_string2(reply.library_error));
}

static void check_status(int status, const char *what) {
  if (status < 0) fail("%s: %s", what, amqp_error_string2(status));
}

static void cork(struct worker *worker, int on) {
  if (worker->corked == on) return;
  worker->corked = on;
  setsockopt(amqp_get_sockfd(worker->link), IPPROTO_TCP, TCP_CORK, &on, sizeof on);
}

static void open_link(struct worker *worker) {
  amqp_connection_state_t link = worker->link = amqp_new_connection();
  if (amqp_socket_open(amqp_tcp_socket_new(link), "127.0.0.1", port) != 0) fail("nothing is listening on port %d", port);
  check(amqp_login(link, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"), "login");
  amqp_channel_open(link, 1);
  check(amqp_get_rpc_reply(link), "channel.open");
  worker->corked = 0;
}

static void close_link(struct worker *worker) {
  check(amqp_connection_close(worker->link, AMQP_REPLY_SUCCESS), "connection.close");
  amqp_destroy_connection(worker->link);
}

/* The next frame that came, after everything was sent that was held back for it. */
static void next_frame(struct worker *worker, amqp_frame_t *frame) {
  amqp_connection_state_t link = worker->link;
  if (!amqp_frames_enqueued(link) && !amqp_data_in_buffer(link)) cork(worker, 0);
  check_status(amqp_simple_wait_frame(link, frame), "waiting for a frame");
  if (frame->frame_type != AMQP_FRAME_METHOD) return;
  if (frame->payload.method.id == AMQP_CHANNEL_CLOSE_METHOD) {
    amqp_channel_close_t *close = frame->payload.method.decoded;
    fail("channel closed: %.*s", (int)close->reply_text.len, (char *)close->reply_text.bytes);
  }
  if (frame->payload.method.id == AMQP_CONNECTION_CLOSE_METHOD) {
    amqp_connection_close_t *close = frame->payload.method.decoded;
    fail("connection closed: %.*s", (int)close->reply_text.len, (char *)close->reply_text.bytes);
  }
}

static void publish(struct worker *worker) {
  amqp_connection_state_t link = worker->link;
  amqp_basic_properties_t properties = {
      ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = transient ? 1 : 2};
  char *bytes = malloc(size);
  memset(bytes, 'x', size);
  amqp_bytes_t body = {.len = size, .bytes = bytes}, key = amqp_cstring_bytes(queue);
  amqp_bytes_t exchange = fan > 0 ? amqp_cstring_bytes("amq.fanout") : amqp_empty_bytes;
  amqp_confirm_select(link, 1);
  check(amqp_get_rpc_reply(link), "confirm.select");
  pthread_barrier_wait(&ready);
  worker->began = now();
  /* Tags up to `settled` are settled but for `ahead` single ones beyond it; a broker may confirm out of order. */
  long sent = 0, done = 0;
  uint64_t settled = 0;
  char *single = calloc(worker->share + 2, 1);
  while (done < worker->share) {
    cork(worker, 1);
    for (; sent < worker->share && sent - done < window; sent++) {
      check_status(amqp_basic_publish(link, 1, exchange, key, 0, 0, &properties, body), "basic.publish");
    }
    /* Half the window is room enough for a large write. */
    long goal = sent == worker->share ? sent : done + window / 2;
    while (done < goal) {
      amqp_frame_t frame;
      next_frame(worker, &frame);
      if (frame.frame_type != AMQP_FRAME_METHOD) continue;
      uint64_t tag;
      int multiple, refused = 0;
      if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
        amqp_basic_ack_t *ack = frame.payload.method.decoded;
        tag = ack->delivery_tag;
        multiple = ack->multiple;
      } else if (frame.payload.method.id == AMQP_BASIC_NACK_METHOD) {
        amqp_basic_nack_t *nack = frame.payload.method.decoded;
        tag = nack->delivery_tag;
        multiple = nack->multiple;
        refused = 1;
      } else continue;
      long before = done;
      if (multiple) {
        for (; settled < tag; settled++) done += !single[settled + 1];
      } else if (tag > settled && !single[tag]) {
        single[tag] = 1;
        done++;
      }
      if (refused) worker->refused += done - before;
      if (!amqp_frames_enqueued(link) && !amqp_data_in_buffer(link)) amqp_maybe_release_buffers(link);
    }
  }
  worker->ended = now();
  free(single);
  free(bytes);
}

static void consume(struct worker *worker) {
  amqp_connection_state_t link = worker->link;
  amqp_basic_qos(link, 1, 0, prefetch, 0);
  check(amqp_get_rpc_reply(link), "basic.qos");
  pthread_barrier_wait(&ready);
  worker->began = now();
  amqp_basic_consume(link, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
  check(amqp_get_rpc_reply(link), "basic.consume");
  long taken = 0;
  uint64_t tag = 0, left = 0;
  while (taken < worker->share) {
    amqp_frame_t frame;
    next_frame(worker, &frame);
    if (frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_DELIVER_METHOD) {
      tag = ((amqp_basic_deliver_t *)frame.payload.method.decoded)->delivery_tag;
    } else if (frame.frame_type == AMQP_FRAME_HEADER) {
      left = frame.payload.properties.body_size;
    } else if (frame.frame_type == AMQP_FRAME_BODY) {
      left -= frame.payload.body_fragment.len;
    } else continue;
    if (frame.frame_type == AMQP_FRAME_METHOD || left > 0) continue;
    taken++;
    if (taken % every == 0 || taken == worker->share) {
      cork(worker, 1);
      check_status(amqp_basic_ack(link, 1, tag, every > 1), "basic.ack");
    }
    amqp_maybe_release_buffers(link);
  }
  cork(worker, 0);
  /* The reply shows that the broker has read the acknowledgements before it; other deliveries may arrive first. */
  amqp_channel_close(link, 1, AMQP_REPLY_SUCCESS);
  worker->ended = now();
}

static void *work(void *argument) {
  struct worker *worker = argument;
  open_link(worker);
  if (strcmp(mode, "publish") == 0) publish(worker);
  else consume(worker);
  close_link(worker);
  return NULL;
}

static void usage(void) {
  fputs("usage: load_amqp publish|consume PORT QUEUE COUNT [-s SIZE] [-w WINDOW] [-p PREFETCH] [-k EVERY]\n"
        "                 [-c CONNECTIONS] [-t] [-f QUEUES]\n"
        "       load_amqp delete PORT QUEUE [-f QUEUES]\n", stderr);
  exit(2);
}

int main(int argc, char **argv) {
  if (argc < 4) usage();
  mode = argv[1];
  port = atoi(argv[2]);
  queue = argv[3];
  int deletes = strcmp(mode, "delete") == 0, first = deletes ? 3 : 4;
  if (!deletes && (argc < 5 || (strcmp(mode, "publish") != 0 && strcmp(mode, "consume") != 0))) usage();
  if (!deletes) count = atol(argv[4]);
  for (int letter; (letter = getopt(argc - first, argv + first, "s:w:p:k:c:f:t")) != -1;) {
    if (letter == 't') transient = 1;
    else if (letter == '?' || atoi(optarg) < 1) usage();
    else if (letter == 's') size = atoi(optarg);
    else if (letter == 'w') window = atoi(optarg);
    else if (letter == 'p') prefetch = atoi(optarg);
    else if (letter == 'k') every = atoi(optarg);
    else if (letter == 'c') connections = atoi(optarg);
    else if (letter == 'f') fan = atoi(optarg);
  }
  /* An acknowledgement that never comes due would be waited for. */
  if (connections > MAX_CONNECTIONS || (!deletes && count < connections) || every > prefetch) usage();
  struct worker single = {0};
  open_link(&single);
  for (int i = 0; i < (fan > 0 ? fan : 1); i++) {
    char name[256];
    snprintf(name, sizeof name, fan > 0 ? "%s.%d" : "%s", queue, i);
    if (deletes) {
      amqp_queue_delete(single.link, 1, amqp_cstring_bytes(name), 0, 0);
      check(amqp_get_rpc_reply(single.link), "queue.delete");
      continue;
    }
    amqp_queue_declare(single.link, 1, amqp_cstring_bytes(name), 0, 1, 0, 0, amqp_empty_table);
    check(amqp_get_rpc_reply(single.link), "queue.declare");
    if (fan == 0) continue;
    amqp_queue_bind(single.link, 1, amqp_cstring_bytes(name), amqp_cstring_bytes("amq.fanout"), amqp_empty_bytes,
                    amqp_empty_table);
    check(amqp_get_rpc_reply(single.link), "queue.bind");
  }
  close_link(&single);
  if (deletes) return 0;

  static struct worker workers[MAX_CONNECTIONS];
  pthread_barrier_init(&ready, NULL, connections);
  for (int i = 0; i < connections; i++) {
    workers[i].share = count / connections + (i < count % connections);
    if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) fail("cannot start a thread");
  }
  double began = 1e300, ended = 0;
  long refused = 0;
  for (int i = 0; i < connections; i++) {
    pthread_join(workers[i].thread, NULL);
    if (workers[i].began < began) began = workers[i].began;
    if (workers[i].ended > ended) ended = workers[i].ended;
    refused += workers[i].refused;
  }
  double seconds = ended - began;
  printf("{\"mode\":\"%s\",\"messages\":%ld,\"refused\":%ld,\"connections\":%d,\"seconds\":%.3f,\"rate\":%.0f}\n",
         mode, count, refused, connections, seconds, count / seconds);
  return 0;
}
