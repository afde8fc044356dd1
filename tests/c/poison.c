/* Panics at the boundary become statuses, and the handle that they struck refuses what comes after. */
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"

/* Only in a library that was built for this test. */
tdg_status tdg_test_panic_writer(tdg_writer *writer);
tdg_status tdg_test_panic_engine(tdg_engine *engine, tdg_error **error);
tdg_status tdg_test_panic_reader(tdg_reader *reader, tdg_error **error);

static void a_poisoned_handle_is_the_parents(tdg_engine *engine, tdg_writer *writer) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        IS(tdg_writer_push(writer, 1, 1, 1.0), TDG_E_FORKED);
        IS(tdg_engine_close(engine, LONG, NULL), TDG_E_FORKED);
        alarm(5); /* Freeing waits for nobody: the threads are not here. */
        tdg_writer_free(writer);
        tdg_engine_free(engine);
        _exit(0);
    }
    int ended;
    CHECK(waitpid(pid, &ended, 0) == pid && WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    tdg_engine *engine = open_engine(argv[1], true);
    tdg_writer *writer = new_writer(engine), *other = new_writer(engine);
    tdg_series series = new_series(engine, "poison", "a");
    tdg_token token;
    OK(tdg_writer_push(writer, series, 1, 1.0));
    OK(tdg_writer_flush(writer, &token));
    IS(tdg_test_panic_writer(writer), TDG_E_INTERNAL);
    IS(tdg_writer_push(writer, series, 2, 2.0), TDG_E_POISONED);
    IS(tdg_writer_wait(writer, token, LONG), TDG_E_POISONED);
    IS(tdg_test_panic_writer(writer), TDG_E_POISONED);
    tdg_reader *reader = NULL;
    struct ArrowArrayStream stream;
    OK(tdg_cursor_create(engine, TDG_STR("c"), TDG_CURSOR_OLDEST, NULL));
    OK(tdg_reader_open(engine, TDG_STR("c"), &reader, NULL));
    IS(tdg_test_panic_reader(reader, NULL), TDG_E_INTERNAL);
    IS(tdg_reader_next(reader, 0, NULL, &stream, NULL), TDG_E_POISONED);
    IS(tdg_reader_commit(reader, NULL, NULL), TDG_E_POISONED);
    tdg_reader_free(reader);
    OK(tdg_cursor_delete(engine, TDG_STR("c"), NULL)); /* It was let go. */
    /* The others go on. */
    OK(tdg_writer_push(other, series, 3, 3.0));
    make_durable(other);
    tdg_error *error = NULL;
    IS(tdg_test_panic_engine(engine, &error), TDG_E_INTERNAL);
    CHECK(tdg_error_status(error) == TDG_E_INTERNAL && tdg_error_in_doubt(error));
    tdg_error_free(error);
    IS(tdg_engine_close(engine, LONG, NULL), TDG_E_POISONED);
    a_poisoned_handle_is_the_parents(engine, writer);
    tdg_writer_free(writer);
    tdg_writer_free(other);
    tdg_engine_free(engine); /* Closes it. */
    return 0;
}
