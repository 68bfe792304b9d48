/* A textbook echo server for one client. Usage: echo_server [PORT] */
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
    socklen_t length = sizeof address;
    char buffer[4096], name[INET_ADDRSTRLEN];
    int listener, client, yes = 1;
    ssize_t count;

    address.sin_port = htons(argc > 1 ? (unsigned short)atoi(argv[1]) : 65432);
    if ((listener = socket(AF_INET, SOCK_STREAM, 0)) < 0) fail("socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
    if (listen(listener, 1) < 0) fail("listen");
    if (getsockname(listener, (struct sockaddr *)&address, &length) < 0) fail("getsockname");
    printf("Listening on port %d\n", ntohs(address.sin_port));
    fflush(stdout);

    length = sizeof address;
    if ((client = accept(listener, (struct sockaddr *)&address, &length)) < 0) fail("accept");
    inet_ntop(AF_INET, &address.sin_addr, name, sizeof name);
    printf("Connected by %s:%d\n", name, ntohs(address.sin_port));
    fflush(stdout);
    while ((count = recv(client, buffer, sizeof buffer, 0)) > 0) {
        for (ssize_t sent = 0; sent < count;) {
            ssize_t taken = send(client, buffer + sent, (size_t)(count - sent), 0);
            if (taken < 0) fail("send");
            sent += taken;
        }
    }
    if (count < 0) fail("recv");
    close(client);
    close(listener);
    return 0;
}
