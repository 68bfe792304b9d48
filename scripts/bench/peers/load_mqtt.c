/* The load of the MQTT benchmark: one publisher and its subscribers, or many connections, with MQTT 3.1.1 on plain sockets.
 *
 *   load_mqtt flow PORT COUNT [-q QOS] [-n SUBSCRIBERS] [-s SIZE] [-w WINDOW] [-k] [-o OTHERS]
 *   load_mqtt connect PORT COUNT
 *   load_mqtt idle PORT COUNT
 *
 * flow publishes COUNT messages of SIZE bytes (default: 100) with QOS (default: 0) to SUBSCRIBERS (default: 1) with the
 * same QoS, of which at most WINDOW (default: 1000) are on their way, so that no broker has to drop any. With -k the
 * sessions of the subscribers are persistent. With -o another client has OTHERS subscriptions that do not match, and the
 * subscribers use a wildcard. The time is measured from the first PUBLISH, when all have subscribed, to the last message
 * at the last subscriber and the last acknowledgement.
 * connect connects and disconnects COUNT clients, at most 64 at a time. idle connects COUNT clients, prints "ready" on
 * stderr, and stays until it is killed.
 *
 * stdout has one line of JSON. One thread serves all connections and writes in large blocks, so that the benchmark measures
 * the broker.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROOM (256 * 1024)
#define AT_ONCE 64
#define PATIENCE_MS 30000
#define FILTERS_PER_PACKET 100

enum { CONNACK = 2, PUBLISH = 3, PUBACK = 4, PUBREC = 5, PUBREL = 6, PUBCOMP = 7, SUBACK = 9 };

static const char *TOPIC = "bench/a/b";
static int port, qos = 0, subscribers = 1, size = 100, window = 1000, keeps = 0, others = 0, epoll;
static long count;

/* One connection. */
struct link {
  int fd;
  long received;                /* messages */
  long acknowledged;            /* of the publisher: completed exchanges */
  long answers;                 /* CONNACK and SUBACK */
  size_t held, filled, written; /* of `in`, and of `out` */
  unsigned char *in, *out;
};

static void fail(const char *format, ...) {
  va_list values;
  va_start(values, format);
  fputs("load_mqtt: ", stderr);
  vfprintf(stderr, format, values);
  fputc('\n', stderr);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static void open_link(struct link *link) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  int on = 1;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  memset(link, 0, sizeof *link);
  link->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (link->fd < 0) fail("socket: %s", strerror(errno));
  if (connect(link->fd, (struct sockaddr *)&address, sizeof address) != 0) fail("connect: %s", strerror(errno));
  setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(link->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = link};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, link->fd, &event) != 0) fail("epoll: %s", strerror(errno));
}

static void close_link(struct link *link) {
  close(link->fd);
  free(link->in);
  free(link->out);
}

/* Makes room for a packet; the buffer must have it. */
static unsigned char *reserve(struct link *link, size_t length) {
  if (link->out == NULL) link->out = malloc(ROOM);
  if (link->written > 0 && link->filled + length > ROOM) {
    memmove(link->out, link->out + link->written, link->filled - link->written);
    link->filled -= link->written;
    link->written = 0;
  }
  if (link->filled + length > ROOM) fail("a buffer is full: the broker does not read");
  link->filled += length;
  return link->out + link->filled - length;
}

static void flush(struct link *link) {
  if (link->written == link->filled) return;
  ssize_t sent = send(link->fd, link->out + link->written, link->filled - link->written, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) fail("send: %s", strerror(errno));
  if (sent > 0) link->written += sent;
  int waits = link->written < link->filled;
  if (!waits) link->written = link->filled = 0;
  struct epoll_event event = {.events = EPOLLIN | (waits ? EPOLLOUT : 0), .data.ptr = link};
  if (waits) epoll_ctl(epoll, EPOLL_CTL_MOD, link->fd, &event);
}

/* Writes a fixed header. Returns its size. */
static size_t header(unsigned char *at, int first, size_t length) {
  size_t used = 0;
  at[used++] = first;
  do {
    at[used] = length & 0x7f;
    length >>= 7;
    if (length > 0) at[used] |= 0x80;
    used++;
  } while (length > 0);
  return used;
}

static size_t text(unsigned char *at, const char *value) {
  size_t length = strlen(value);
  at[0] = length >> 8;
  at[1] = length;
  memcpy(at + 2, value, length);
  return length + 2;
}

static void send_connect(struct link *link, const char *id, int clean) {
  unsigned char packet[128] = {0}, *at = packet;
  at += header(at, 0x10, 12 + strlen(id));
  at += text(at, "MQTT");
  *at++ = 4;
  *at++ = clean ? 2 : 0;
  *at++ = 0;
  *at++ = 0;
  at += text(at, id);
  memcpy(reserve(link, at - packet), packet, at - packet);
  flush(link);
}

static void send_subscribe(struct link *link, char filters[][64], int many) {
  static unsigned char body[FILTERS_PER_PACKET * 80], head[5];
  unsigned char *at = body;
  *at++ = 0;
  *at++ = 1;
  for (int i = 0; i < many; i++) {
    at += text(at, filters[i]);
    *at++ = qos;
  }
  size_t used = header(head, 0x82, at - body);
  memcpy(reserve(link, used), head, used);
  memcpy(reserve(link, at - body), body, at - body);
  flush(link);
}

static void send_ack(struct link *link, int type, const unsigned char *id) {
  unsigned char *at = reserve(link, 4);
  at[0] = type << 4 | (type == PUBREL ? 2 : 0);
  at[1] = 2;
  at[2] = id[0];
  at[3] = id[1];
}

static void on_packet(struct link *link, int first, const unsigned char *body, size_t length) {
  switch (first >> 4) {
    case CONNACK:
      if (body[1] != 0) fail("the broker refused a client: %d", body[1]);
      link->answers++;
      return;
    case SUBACK:
      for (size_t i = 2; i < length; i++) if (body[i] == 0x80) fail("the broker refused a subscription");
      link->answers++;
      return;
    case PUBLISH: {
      size_t topic = 2 + (body[0] << 8 | body[1]);
      int level = first >> 1 & 3;
      if (length != topic + (level > 0 ? 2 : 0) + size) fail("a message has the wrong size");
      if (level < 2) link->received++;
      if (level > 0) send_ack(link, level == 1 ? PUBACK : PUBREC, body + topic);
      return;
    }
    case PUBREL:
      link->received++;
      send_ack(link, PUBCOMP, body);
      return;
    case PUBREC:
      send_ack(link, PUBREL, body);
      return;
    case PUBACK:
    case PUBCOMP:
      link->acknowledged++;
      return;
    default:
      fail("the broker sent a packet of type %d", first >> 4);
  }
}

static void receive(struct link *link) {
  if (link->in == NULL) link->in = malloc(ROOM);
  ssize_t got = recv(link->fd, link->in + link->held, ROOM - link->held, 0);
  if (got == 0) fail("the broker closed a connection");
  if (got < 0) {
    if (errno == EAGAIN) return;
    fail("receive: %s", strerror(errno));
  }
  link->held += got;
  size_t at = 0;
  while (link->held - at >= 2) {
    size_t length = 0, used = 1;
    int shift = 0, more = 1;
    while (more && at + used < link->held) {
      length |= (size_t)(link->in[at + used] & 0x7f) << shift;
      more = link->in[at + used++] & 0x80;
      shift += 7;
    }
    if (more || link->held - at < used + length) break;
    on_packet(link, link->in[at], link->in + at + used, length);
    at += used + length;
  }
  memmove(link->in, link->in + at, link->held - at);
  link->held -= at;
  flush(link);
}

/* Waits for input and handles it. */
static void turn(void) {
  static struct epoll_event events[256];
  int ready = epoll_wait(epoll, events, 256, PATIENCE_MS);
  if (ready < 0) fail("epoll_wait: %s", strerror(errno));
  if (ready == 0) fail("the broker sent nothing for %d s: a message is lost", PATIENCE_MS / 1000);
  for (int i = 0; i < ready; i++) {
    struct link *link = events[i].data.ptr;
    if (events[i].events & EPOLLOUT) {
      struct epoll_event event = {.events = EPOLLIN, .data.ptr = link};
      epoll_ctl(epoll, EPOLL_CTL_MOD, link->fd, &event);
      flush(link);
    }
    if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(link);
  }
}

static void answered(struct link *link, long answers) {
  while (link->answers < answers) turn();
}

static void log_in(struct link *link, const char *id, int clean) {
  open_link(link);
  send_connect(link, id, clean);
  answered(link, 1);
}

static void log_out(struct link *link) {
  unsigned char *at = reserve(link, 2);
  at[0] = 0xe0;
  at[1] = 0;
  flush(link);
  close_link(link);
}

static void subscribe_others(struct link *link) {
  static char filters[FILTERS_PER_PACKET][64];
  log_in(link, "bench-others", 1);
  for (int done = 0; done < others;) {
    int many = 0;
    while (many < FILTERS_PER_PACKET && done < others) sprintf(filters[many++], "bench/%d/+", done++);
    long before = link->answers;
    send_subscribe(link, filters, many);
    answered(link, before + 1);
  }
}

static void flow(void) {
  struct link publisher, other, *links = calloc(subscribers, sizeof *links);
  char id[32];
  if (others > 0) subscribe_others(&other);
  for (int i = 0; i < subscribers; i++) {
    char filter[1][64];
    snprintf(id, sizeof id, "bench-%d", i);
    strcpy(filter[0], others > 0 ? "bench/+/b" : TOPIC);
    log_in(&links[i], id, !keeps);
    send_subscribe(&links[i], filter, 1);
    answered(&links[i], 2);
  }
  log_in(&publisher, "bench-publisher", 1);

  unsigned char packet[1024] = {0};
  size_t topic = strlen(TOPIC), length = 2 + topic + (qos > 0 ? 2 : 0) + size;
  size_t used = header(packet, 0x30 | qos << 1, length), total = used + length;
  text(packet + used, TOPIC);
  memset(packet + total - size, 'x', size);
  unsigned char *packet_id = packet + used + 2 + topic;
  double began = now();
  long published = 0, taken = 0;
  while (taken < count || (qos > 0 && publisher.acknowledged < count)) {
    long limit = taken + window;
    if (qos > 0 && publisher.acknowledged + window < limit) limit = publisher.acknowledged + window;
    while (published < count && published < limit && publisher.filled + total < ROOM / 2) {
      if (qos > 0) {
        int number = published % 65535 + 1;
        packet_id[0] = number >> 8;
        packet_id[1] = number;
      }
      memcpy(reserve(&publisher, total), packet, total);
      published++;
    }
    flush(&publisher);
    turn();
    taken = count;
    for (int i = 0; i < subscribers; i++) if (links[i].received < taken) taken = links[i].received;
  }
  double seconds = now() - began;
  for (int i = 0; i < subscribers; i++) {
    log_out(&links[i]);
    snprintf(id, sizeof id, "bench-%d", i);
    if (!keeps) continue;
    log_in(&links[i], id, 1);
    log_out(&links[i]);
  }
  log_out(&publisher);
  if (others > 0) log_out(&other);
  printf("{\"messages\":%ld,\"seconds\":%.4f}\n", count, seconds);
}

static void connect_all(void) {
  struct link links[AT_ONCE];
  double began = now();
  for (long done = 0; done < count;) {
    int many = count - done < AT_ONCE ? count - done : AT_ONCE;
    for (int i = 0; i < many; i++) {
      char id[32];
      snprintf(id, sizeof id, "bench-%d", i);
      open_link(&links[i]);
      send_connect(&links[i], id, 1);
    }
    for (int i = 0; i < many; i++) {
      answered(&links[i], 1);
      log_out(&links[i]);
    }
    done += many;
  }
  printf("{\"messages\":%ld,\"seconds\":%.4f}\n", count, now() - began);
}

static void idle(void) {
  struct link *links = calloc(count, sizeof *links);
  for (long i = 0; i < count; i++) {
    char id[32];
    snprintf(id, sizeof id, "bench-%ld", i);
    log_in(&links[i], id, 1);
    /* Only the sockets of the broker count. */
    free(links[i].in);
    free(links[i].out);
    links[i].in = links[i].out = NULL;
  }
  fputs("ready\n", stderr);
  for (;;) pause();
}

static void usage(void) {
  fputs("usage: load_mqtt flow PORT COUNT [-q QOS] [-n SUBSCRIBERS] [-s SIZE] [-w WINDOW] [-k] [-o OTHERS]\n"
        "       load_mqtt connect|idle PORT COUNT\n", stderr);
  exit(2);
}

int main(int argc, char **argv) {
  if (argc < 4) usage();
  port = atoi(argv[2]);
  count = atol(argv[3]);
  for (int letter; (letter = getopt(argc - 3, argv + 3, "q:n:s:w:ko:")) != -1;) {
    if (letter == 'q') qos = atoi(optarg);
    else if (letter == 'n') subscribers = atoi(optarg);
    else if (letter == 's') size = atoi(optarg);
    else if (letter == 'w') window = atoi(optarg);
    else if (letter == 'k') keeps = 1;
    else if (letter == 'o') others = atoi(optarg);
    else usage();
  }
  if (qos < 0 || qos > 2 || subscribers < 1 || size < 1 || size > 900 || window < 1 || window > 60000 || count < 1) {
    usage();
  }
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  epoll = epoll_create1(0);
  if (strcmp(argv[1], "flow") == 0) flow();
  else if (strcmp(argv[1], "connect") == 0) connect_all();
  else if (strcmp(argv[1], "idle") == 0) idle();
  else usage();
  return 0;
}
