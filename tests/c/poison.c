/* Panics at the boundary become statuses, and the handle that they struck refuses what comes after. */
#include "kit.h"

/* Only in a library that was built for this test. */
tdg_status tdg_test_panic_writer(tdg_writer *writer);
tdg_status tdg_test_panic_engine(tdg_engine *engine, tdg_error **error);

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
    /* The others go on. */
    OK(tdg_writer_push(other, series, 3, 3.0));
    make_durable(other);
    tdg_error *error = NULL;
    IS(tdg_test_panic_engine(engine, &error), TDG_E_INTERNAL);
    CHECK(tdg_error_status(error) == TDG_E_INTERNAL && tdg_error_in_doubt(error));
    tdg_error_free(error);
    IS(tdg_engine_close(engine, LONG, NULL), TDG_E_POISONED);
    tdg_writer_free(writer);
    tdg_writer_free(other);
    tdg_engine_free(engine); /* Closes it. */
    return 0;
}
