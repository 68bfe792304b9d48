/* Many subscribers at little cost: reads and discards what a publisher sends, so that the benchmark measures the publisher.
 *
 *   drain_zmq PORT SUBSCRIBERS COUNT SIZE
 *
 * Each subscriber is a TCP connection to loopback that speaks ZMTP 3.0 with the NULL mechanism as a SUB socket,
 * subscribes to everything, and reads COUNT messages of SIZE bytes, at most 255 each. It counts bytes and does not
 * parse frames.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_SUBSCRIBERS 1024

static const unsigned char GREETING[64] = {0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
static const unsigned char READY[] = "\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB";
/* A subscription as a message, which is how ZMTP 3.0 sends it: flags, length, 1. */
static const unsigned char SUBSCRIBE[] = {0, 1, 1};

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void send_all(int fd, const unsigned char *bytes, size_t length) {
  if (send(fd, bytes, length, 0) != (ssize_t)length) fail("drain_zmq: send");
}

static void receive_all(int fd, unsigned char *bytes, size_t length) {
  while (length > 0) {
    ssize_t got = recv(fd, bytes, length, 0);
    if (got <= 0) fail("drain_zmq: receive");
    bytes += got;
    length -= got;
  }
}

static int subscribe(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  unsigned char bytes[256];
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  /* The publisher may still be starting. */
  for (int i = 0; connect(fd, (struct sockaddr *)&address, sizeof address) != 0; i++) {
    if (i == 500) fail("drain_zmq: connect");
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
  }
  send_all(fd, GREETING, sizeof GREETING);
  receive_all(fd, bytes, 64);
  send_all(fd, READY, sizeof READY - 1);
  receive_all(fd, bytes, 2);
  if (bytes[0] != 4) {
    fputs("drain_zmq: the peer did not send READY\n", stderr);
    exit(1);
  }
  receive_all(fd, bytes, bytes[1]);
  send_all(fd, SUBSCRIBE, sizeof SUBSCRIBE);
  return fd;
}

int main(int argc, char **argv) {
  if (argc != 5 || atoi(argv[2]) < 1 || atoi(argv[2]) > MAX_SUBSCRIBERS || atoi(argv[4]) > 255) {
    fputs("usage: drain_zmq PORT SUBSCRIBERS COUNT SIZE\n", stderr);
    return 2;
  }
  int subscribers = atoi(argv[2]), open = subscribers;
  static struct pollfd fds[MAX_SUBSCRIBERS];
  static long long left[MAX_SUBSCRIBERS];
  static unsigned char buffer[1 << 20];
  for (int i = 0; i < subscribers; i++) {
    fds[i] = (struct pollfd){.fd = subscribe(atoi(argv[1])), .events = POLLIN};
    left[i] = atoll(argv[3]) * (2 + atoi(argv[4]));
  }
  while (open > 0) {
    if (poll(fds, subscribers, -1) < 0) fail("drain_zmq: poll");
    for (int i = 0; i < subscribers; i++) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      ssize_t got = recv(fds[i].fd, buffer, sizeof buffer, 0);
      if (got <= 0) fail("drain_zmq: receive");
      left[i] -= got;
      if (left[i] > 0) continue;
      close(fds[i].fd);
      fds[i].fd = -1;
      open--;
    }
  }
  return 0;
}
