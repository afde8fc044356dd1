// What the C++ header promises, call by call. Prints how many rows were taken.
//
//     contract DIRECTORY
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <tidegate.hpp>
#include <vector>

using namespace std::chrono_literals;

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);   \
            std::exit(1);                                                                  \
        }                                                                                  \
    } while (0)

namespace {

std::uint64_t rows_taken = 0;

// What a call throws; TDG_OK if it throws nothing.
template <class Call>
tdg_status thrown(Call call) {
    try {
        call();
        return TDG_OK;
    } catch (const tidegate::error &error) {
        CHECK(error.what()[0] != '\0' && error.in_doubt() == tidegate::in_doubt(error.code()));
        return error.code();
    }
}

tidegate::options quiet(const char *directory) {
    tidegate::options options;
    options.set("data.directory", directory).set("data.disk", "threads").set("data.commit_interval", "1m");
    return options;
}

// The rows of a stream's batches.
std::int64_t length(tidegate::stream stream) {
    std::int64_t rows = 0;
    for (;;) {
        ArrowArray batch{};
        CHECK(stream.get()->get_next(stream.get(), &batch) == 0);
        if (batch.release == nullptr) return rows;
        rows += batch.length;
        batch.release(&batch);
    }
}

void columns_tell_what_was_taken(tidegate::engine &engine, tidegate::writer &writer) {
    const auto a = engine.series("column", {{"host", "a"}});
    const auto b = engine.series("column", {{"host", "b"}});
    const tidegate::series none{42};
    CHECK(writer.push_times(a, {1, 2, 3}, {0.5, 1.5, 2.5}));
    CHECK(writer.push_series({a, b}, 4, {1.0, 2.0}));
    CHECK(writer.push_series({}, tidegate::now, {}).taken == 0);

    const std::array<tidegate::series, 3> series{a, none, b};
    const std::vector<std::int64_t> times{5, 6, 7};
    const double values[] = {1, 2, 3};
    const auto some = writer.push_samples(series, times, values);
    CHECK(!some && some.taken == 1 && some.status == TDG_E_INPUT);
    const auto same_time = writer.push_series(series, 8, values);
    CHECK(same_time.taken == 1 && same_time.status == TDG_E_INPUT);
    rows_taken += 3 + 2 + 1 + 1;

    CHECK(thrown([&] { (void)writer.push_times(a, {1, 2}, {1.0}); }) == TDG_E_INPUT);
    CHECK(thrown([&] { (void)writer.push_samples({a}, {1, 2}, {1.0}); }) == TDG_E_INPUT);
}

void rows_come_as_columns(tidegate::engine &engine, tidegate::writer &writer) {
    const auto event = engine.series("event");
    const std::vector<double> floats{0.5, -0.0};
    const std::array<std::int64_t, 2> ints{-1, INT64_MIN};
    const std::vector<std::uint64_t> uints{0, UINT64_MAX};
    const std::array<bool, 2> bools{true, false};
    const std::vector<tidegate::text> texts{"", "some text"};
    const std::vector<tidegate::bytes> raw{tidegate::bytes("\xff"), tidegate::bytes("")};
    CHECK(writer.push_columns(event, {1, 2},
                              {{"f", floats}, {"i", ints}, {"u", uints}, {"b", bools}, {"s", texts}, {"y", raw}}));
    rows_taken += 2;

    const std::vector<tidegate::text> bad{"good", "\xff"};
    const auto some = writer.push_columns(event, {3, 4}, {{"s", bad}});
    CHECK(some.status == TDG_E_INPUT && some.taken == 1);
    rows_taken += some.taken;
    CHECK(thrown([&] { (void)writer.push_columns(event, {1}, {{"f", floats}}); }) == TDG_E_INPUT);
}

// A thread that pushes as fast as it can leaves no room to others.
void what_finds_no_room_comes_again(const char *directory) {
    constexpr std::size_t size = 20000;
    auto options = quiet(directory);
    options.set("writer.full_wait", "0");
    tidegate::engine engine(options);
    const auto series = engine.series("full");
    std::atomic<bool> enough{false};
    std::uint64_t crowd_taken = 0;
    std::thread crowd([&] {
        tidegate::writer writer(engine);
        const std::vector<std::int64_t> times(size, 1);
        const std::vector<double> values(size, 1.0);
        bool full = false;
        while (!full || !enough) {
            const auto part = writer.push_times(series, times, values);
            CHECK(part ? part.taken == size : part.status == TDG_E_FULL && part.taken < size);
            full = full || !part;
            crowd_taken += part.taken;
        }
        writer.set_full_wait(tidegate::forever);
        CHECK(writer.wait(writer.flush(), 5min));
    });

    tidegate::writer writer(engine);
    std::string body;
    for (std::size_t i = 0; i < size; i++) body += "full,host=a value=1 " + std::to_string(i) + "\n";
    std::size_t consumed = 0;
    while (!enough || consumed < body.size()) {
        // Until there is no room it begins anew; then it goes on where it was, and waits.
        if (consumed == body.size()) consumed = 0;
        const auto written = writer.write(tidegate::protocol::influx, std::string_view(body).substr(consumed));
        CHECK(written.rejection.empty());
        rows_taken += written.accepted;
        consumed += written.consumed;
        CHECK(written.full ? consumed < body.size() : consumed == body.size());
        if (written.full) writer.set_full_wait(tidegate::forever);
        enough = enough || written.full;
    }
    crowd.join();
    rows_taken += crowd_taken;
    CHECK(writer.wait(writer.flush(), 5min));
    CHECK(engine.close(5min));
}

void failures_tell_whether_rows_are_in_doubt(const char *directory) {
    // As C has it, of each status that a call with an error gives here.
    const auto as_in_c = [](tdg_status status, tdg_error *const &why, tdg_status expected) {
        CHECK(status == expected);
        CHECK(tdg_error_in_doubt(why) == tidegate::in_doubt(status));
        tdg_error_free(why);
    };
    auto options = quiet(directory);
    tidegate::engine engine(options);
    tidegate::writer writer(engine);
    tdg_error *why = nullptr;
    tdg_engine *second = nullptr;
    as_in_c(tdg_engine_open(options.get(), &second, &why), why, TDG_E_LOCKED);
    tdg_options *unnamed = tdg_options_new();
    as_in_c(tdg_engine_open(unnamed, &second, &why), why, TDG_E_CONFIG);
    tdg_options_free(unnamed);
    ArrowArrayStream stream{};
    as_in_c(tdg_directory_read(TDG_STR("/no/such"), &stream, &why), why, TDG_E_IO);
    tdg_series none = 0;
    as_in_c(tdg_engine_series(engine.get(), TDG_STR("\xff"), nullptr, 0, &none, &why), why, TDG_E_INPUT);
    CHECK(engine.close(5min));
    // And where C gives a status alone.
    CHECK(tidegate::in_doubt(TDG_E_IN_DOUBT) && tidegate::in_doubt(TDG_E_POISONED));
    CHECK(!tidegate::in_doubt(TDG_OK) && !tidegate::in_doubt(TDG_E_FULL));
    CHECK(thrown([&] { (void)writer.flush(); }) == TDG_E_CLOSED);
    CHECK(writer.push_times({1}, {1}, {1.0}).status == TDG_E_CLOSED);
}

void what_is_written_is_read_back(const char *directory) {
    tidegate::engine engine(quiet(directory));
    engine.create_cursor("all");
    tidegate::writer writer(engine);
    columns_tell_what_was_taken(engine, writer);
    rows_come_as_columns(engine, writer);
    const auto written = writer.write(tidegate::protocol::influx, "a b=1 1\nno line\n");
    CHECK(written.accepted == 1 && written.rejected == 1 && !written.rejection.empty() && !written.full);
    CHECK(thrown([&] { (void)writer.write(tidegate::protocol::otlp_metrics_json, "["); }) == TDG_E_INPUT);
    rows_taken++;
    CHECK(writer.wait(writer.flush(), 5min));
    const auto values = length(tidegate::read_directory(directory));
    CHECK(values >= static_cast<std::int64_t>(rows_taken));

    tidegate::reader reader(engine, "all");
    std::int64_t given = 0;
    while (auto block = reader.next(0s)) given += length(std::move(block->values));
    CHECK(given == values && engine.cursor("all").rows_behind == rows_taken);
    reader.commit_all();
    CHECK(engine.cursor("all").rows_behind == 0);
    CHECK(thrown([&] { (void)tidegate::reader(engine, "all"); }) == TDG_E_LOCKED);
    try {
        tidegate::options().set("no.such", "1");
        CHECK(false);
    } catch (const tidegate::error &error) {
        CHECK(std::string_view(error.what()).find("no.such") != std::string_view::npos);
    }
    CHECK(engine.close(5min));
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    what_is_written_is_read_back(argv[1]);
    what_finds_no_room_comes_again(argv[1]);
    failures_tell_whether_rows_are_in_doubt(argv[1]);
    std::printf("%llu\n", static_cast<unsigned long long>(rows_taken));
}
