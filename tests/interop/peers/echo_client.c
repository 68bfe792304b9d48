/* Sends stdin block by block and prints the echo. Usage: echo_client PORT */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char buffer[4096];
    size_t count;
    int server;

    address.sin_port = htons(argc > 1 ? (unsigned short)atoi(argv[1]) : 65432);
    if ((server = socket(AF_INET, SOCK_STREAM, 0)) < 0) fail("socket");
    if (connect(server, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
    while ((count = fread(buffer, 1, sizeof buffer, stdin)) > 0) {
        for (size_t sent = 0; sent < count;) {
            ssize_t taken = send(server, buffer + sent, count - sent, 0);
            if (taken < 0) fail("send");
            sent += (size_t)taken;
        }
        for (size_t back = 0; back < count;) {
            ssize_t came = recv(server, buffer, count - back, 0);
            if (came <= 0) fail("recv");
            fwrite(buffer, 1, (size_t)came, stdout);
            back += (size_t)came;
        }
    }
    if (shutdown(server, SHUT_WR) < 0) fail("shutdown");
    if (recv(server, buffer, sizeof buffer, 0) != 0) {
        fprintf(stderr, "more came back than was sent\n");
        return 1;
    }
    close(server);
    return 0;
}
