/* A host with an event loop of its own: it never waits in a call, and learns from a descriptor what is durable. */
#include <poll.h>
#include <unistd.h>

#include "kit.h"

int main(int argc, char **argv) {
    CHECK(argc == 2);
    tdg_engine *engine = open_engine(argv[1], true);
    tdg_writer *writer = new_writer(engine);
    tdg_series series = new_series(engine, "loop", "a");
    int fd = -1;
    OK(tdg_writer_set_full_wait(writer, 0));
    OK(tdg_writer_fd(writer, &fd));
    int again = -1;
    OK(tdg_writer_fd(writer, &again));
    CHECK(fd >= 0 && fd == again);
    tdg_token token = 0;
    for (int round = 0, woken = 0; round < 50;) {
        struct pollfd polled = {fd, POLLIN, 0};
        if (woken == 0) {
            OK(tdg_writer_push(writer, series, round, round * 0.5));
            OK(tdg_writer_flush(writer, &token));
        }
        CHECK(poll(&polled, 1, 60000) == 1);
        char bytes[64];
        while (read(fd, bytes, sizeof bytes) > 0) {
        }
        woken++;
        tdg_status status = tdg_writer_wait(writer, token, 0);
        if (status == TDG_E_TIMEOUT) continue;
        OK(status);
        round++, woken = 0;
    }
    /* A descriptor goes with its writer, also while the engine is busy with that writer's rows. */
    tdg_writer *other = new_writer(engine);
    int others = -1;
    OK(tdg_writer_fd(other, &others));
    CHECK(others >= 0 && others != fd);
    OK(tdg_writer_push(other, series, -1, 0.5));
    OK(tdg_writer_flush(other, NULL));
    tdg_writer_free(other);
    struct pollfd gone = {others, POLLIN, 0};
    CHECK(poll(&gone, 1, 0) == 1 && (gone.revents & POLLNVAL));
    /* The end of the engine wakes, too. */
    OK(tdg_writer_push(writer, series, 50, 25.0));
    OK(tdg_engine_close(engine, LONG, NULL));
    struct pollfd polled = {fd, POLLIN, 0};
    CHECK(poll(&polled, 1, 60000) == 1);
    tdg_engine_free(engine);
    tdg_writer_free(writer);
    CHECK(poll(&polled, 1, 0) == 1 && (polled.revents & POLLNVAL)); /* Also after the engine. */
    return 0;
}
