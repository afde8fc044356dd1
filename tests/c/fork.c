/* A forked child can do nothing with its parent's handles, and harms nobody by trying. */
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"

static int child(tdg_engine *engine, tdg_writer *writer, tdg_series series, tdg_token token) {
    tdg_stats stats;
    tdg_written written;
    tdg_error *error = NULL;
    int fd;
    IS(tdg_writer_push(writer, series, 2, 2.0), TDG_E_FORKED);
    IS(tdg_writer_flush(writer, &token), TDG_E_FORKED);
    IS(tdg_writer_wait(writer, token, LONG), TDG_E_FORKED);
    IS(tdg_writer_fd(writer, &fd), TDG_E_FORKED);
    IS(tdg_writer_write(writer, TDG_INFLUX, TDG_STR("m v=1"), &written, &error), TDG_E_FORKED);
    CHECK(tdg_error_status(error) == TDG_E_FORKED);
    tdg_error_free(error);
    IS(tdg_engine_stats(engine, &stats, sizeof stats), TDG_E_FORKED);
    IS(tdg_engine_release(engine, series), TDG_E_FORKED);
    IS(tdg_engine_close(engine, LONG, NULL), TDG_E_FORKED);
    tdg_writer_free(writer);
    tdg_engine_free(engine);
    return 0;
}

int main(int argc, char **argv) {
    CHECK(argc == 2 || argc == 3);
    tdg_engine *engine = open_engine(argv[1], true);
    tdg_writer *writer = new_writer(engine);
    tdg_series series = new_series(engine, "forked", "a");
    tdg_token token;
    OK(tdg_writer_push(writer, series, 1, 1.0));
    OK(tdg_writer_flush(writer, &token));
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        int failed = child(engine, writer, series, token);
        if (argc == 2) _exit(failed);
        /* A child's own engine is sound, on another directory. */
        tdg_engine *own = open_engine(argv[2], true);
        tdg_writer *rows = new_writer(own);
        OK(tdg_writer_push(rows, new_series(own, "child", "a"), 1, 1.0));
        make_durable(rows);
        OK(tdg_engine_close(own, LONG, NULL));
        tdg_writer_free(rows);
        tdg_engine_free(own);
        _exit(failed);
    }
    int ended;
    CHECK(waitpid(pid, &ended, 0) == pid && WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
    OK(tdg_writer_wait(writer, token, LONG));
    OK(tdg_writer_push(writer, series, 3, 3.0));
    make_durable(writer);
    OK(tdg_engine_close(engine, LONG, NULL));
    tdg_writer_free(writer);
    tdg_engine_free(engine);
    return 0;
}
