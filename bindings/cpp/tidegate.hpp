// tidegate.hpp: tidegate for C++17, over tidegate.h, which says what each call means.
//
//     #include <tidegate.hpp>
//
//     int main() {
//         tidegate::options options;
//         options.set("data.directory", "demo");
//         tidegate::engine engine(options);
//         tidegate::writer writer(engine);
//         auto load = engine.series("load", {{"host", "a"}});
//         if (!writer.push(load, tidegate::now, 0.5)) return 1; // No room.
//         if (!writer.wait(writer.flush(), std::chrono::seconds(10))) return 1; // Not on disk yet.
//         return engine.close(std::chrono::seconds(10)) ? 0 : 1; // False: not done yet.
//     }
//
// Everything throws `tidegate::error`, but where an answer is usual: no room and not yet are `false`, columns and
// bodies tell how much of them was taken. Handles are moved and not copied. A DESTRUCTOR FREES AND NEVER PUBLISHES: what
// a writer was given and not flushed goes with it, unless the commit interval was faster; flush and wait for what must
// not be lost.
//
// Threads: as of the C handles. An engine is for any threads at once, a writer for one at a time; its `wait` for any.
#ifndef TIDEGATE_HPP
#define TIDEGATE_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tidegate.h"

namespace tidegate {

// Whether rows may be on disk after this answer: who sends them again may have them twice, who does not may lack them.
// TDG_E_TIMEOUT is no answer yet: ask again.
[[nodiscard]] inline bool in_doubt(tdg_status status) noexcept { return tdg_status_in_doubt(status); }

// Why a call failed: `code` is one of the TDG_E_ numbers.
class error : public std::runtime_error {
public:
    error(tdg_status code, const std::string &message) : std::runtime_error(message), code_(code) {}

    [[nodiscard]] tdg_status code() const noexcept { return code_; }

    // Whether rows may be on disk all the same.
    [[nodiscard]] bool in_doubt() const noexcept { return tidegate::in_doubt(code_); }

private:
    tdg_status code_;
};

namespace detail {

inline tdg_str str(std::string_view text) noexcept { return {text.data(), text.size()}; }

[[noreturn]] inline void fail(tdg_status code, tdg_error *why) {
    std::unique_ptr<tdg_error, decltype(&tdg_error_free)> owned(why, tdg_error_free);
    const tdg_str told = tdg_error_message(why);
    throw error(code, told.len > 0 ? std::string(told.ptr, told.len) : std::string(tdg_status_text(code)));
}

inline void check(tdg_status status) {
    if (status != TDG_OK) fail(status, nullptr);
}

// The error by reference: the call that gives it is an argument, too, and may be evaluated after this one.
inline void check(tdg_status status, tdg_error *const &why) {
    if (status != TDG_OK) fail(status, why);
}

// A timeout as C has it; whatever is negative is for ever.
inline std::int64_t timeout(std::chrono::nanoseconds timeout) noexcept {
    return timeout.count() < 0 ? -1 : static_cast<std::int64_t>(timeout.count());
}

} // namespace detail

// As a timeout: for ever.
inline constexpr std::chrono::nanoseconds forever{-1};

// Nanoseconds since the Unix epoch.
struct time {
    std::int64_t ns;

    constexpr time(std::int64_t since_epoch_ns) noexcept : ns(since_epoch_ns) {}
    template <class Duration>
    time(std::chrono::time_point<std::chrono::system_clock, Duration> at) noexcept
        : ns(std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count()) {}
};

// As a time: the system's clock at the call.
inline constexpr time now{TDG_TIME_NOW};

// Elements that lie side by side and belong to somebody else: an array, a vector, braces in a call.
template <class T>
class view {
public:
    constexpr view() noexcept = default;
    constexpr view(const T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    constexpr view(std::initializer_list<T> list) noexcept : view(list.begin(), list.size()) {}
    template <std::size_t N>
    constexpr view(const T (&array)[N]) noexcept : data_(array), size_(N) {}
    template <class Container,
              class = std::enable_if_t<
                  std::is_convertible_v<decltype(std::declval<const Container &>().data()), const T *>>>
    constexpr view(const Container &container) noexcept : data_(container.data()), size_(container.size()) {}

    [[nodiscard]] constexpr const T *data() const noexcept { return data_; }
    [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }

private:
    const T *data_ = nullptr;
    std::size_t size_ = 0;
};

// A label of a series.
struct label : tdg_label {
    label(std::string_view n, std::string_view v) noexcept : tdg_label{detail::str(n), detail::str(v)} {}
};

// Text and bytes as values. Arrays of them are columns.
struct text : tdg_str {
    text(std::string_view value) noexcept : tdg_str(detail::str(value)) {}
    text(const char *value) noexcept : text(std::string_view(value)) {}
    text(const std::string &value) noexcept : text(std::string_view(value)) {}
};
struct bytes : tdg_str {
    explicit bytes(std::string_view value) noexcept : tdg_str(detail::str(value)) {}
};

// A field of a row: its name and its value, of the type that the value has in C++. Names and texts are borrowed.
struct field : tdg_field {
    field(std::string_view n, double v) noexcept : tdg_field(of(n, TDG_F64)) { value.f64 = v; }
    field(std::string_view n, bool v) noexcept : tdg_field(of(n, TDG_BOOL)) { value.boolean = v; }
    field(std::string_view n, std::string_view v) noexcept : tdg_field(of(n, TDG_STRING)) {
        value.string = detail::str(v);
    }
    // These two, or text would be a bool.
    field(std::string_view n, const char *v) noexcept : field(n, std::string_view(v)) {}
    field(std::string_view n, const std::string &v) noexcept : field(n, std::string_view(v)) {}
    field(std::string_view n, bytes v) noexcept : tdg_field(of(n, TDG_BYTES)) {
        value.string = v;
    }
    // There, and without a value.
    field(std::string_view n, std::nullptr_t) noexcept : tdg_field(of(n, TDG_NULL)) {}
    template <class Integer,
              class = std::enable_if_t<std::is_integral_v<Integer> && !std::is_same_v<Integer, bool>>>
    field(std::string_view n, Integer v) noexcept
        : tdg_field(of(n, std::is_signed_v<Integer> ? TDG_I64 : TDG_U64)) {
        if constexpr (std::is_signed_v<Integer>) {
            value.i64 = v;
        } else {
            value.u64 = v;
        }
    }

private:
    static tdg_field of(std::string_view name, std::int32_t kind) noexcept {
        tdg_field made{};
        made.name = detail::str(name);
        made.kind = kind;
        return made;
    }
};

// Arrays of these are arrays of C's.
static_assert(sizeof(label) == sizeof(tdg_label) && sizeof(field) == sizeof(tdg_field));
static_assert(sizeof(text) == sizeof(tdg_str) && sizeof(bytes) == sizeof(tdg_str) && sizeof(bool) == 1);

// A field of several rows: its name, and anything that has `data()` and `size()` of `double`, `std::int64_t`,
// `std::uint64_t`, `bool`, `text` or `bytes`. Both are borrowed.
class column {
public:
    template <class Container>
    column(std::string_view name, const Container &values) noexcept : size_(values.size()) {
        column_.name = detail::str(name);
        column_.values = values.data();
        column_.kind = kind_of<std::remove_cv_t<std::remove_pointer_t<decltype(values.data())>>>();
    }

    [[nodiscard]] const tdg_column &get() const noexcept { return column_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
    template <class T>
    static constexpr std::int32_t kind_of() noexcept {
        constexpr std::int32_t kind = std::is_same_v<T, double>          ? TDG_F64
                                      : std::is_same_v<T, std::int64_t>  ? TDG_I64
                                      : std::is_same_v<T, std::uint64_t> ? TDG_U64
                                      : std::is_same_v<T, bool>          ? TDG_BOOL
                                      : std::is_same_v<T, text>          ? TDG_STRING
                                      : std::is_same_v<T, bytes>         ? TDG_BYTES
                                                                         : 0;
        static_assert(kind != 0, "a column is of double, int64_t, uint64_t, bool, tidegate::text or tidegate::bytes");
        return kind;
    }

    tdg_column column_{};
    std::size_t size_;
};

// What a body is.
enum class protocol : std::int32_t {
    influx = TDG_INFLUX,
    influx_us = TDG_INFLUX_US,
    influx_ms = TDG_INFLUX_MS,
    influx_s = TDG_INFLUX_S,
    prometheus_text = TDG_PROMETHEUS_TEXT,
    openmetrics = TDG_OPENMETRICS,
    remote_write = TDG_REMOTE_WRITE,
    remote_write_2 = TDG_REMOTE_WRITE_2,
    otlp_metrics = TDG_OTLP_METRICS,
    otlp_logs = TDG_OTLP_LOGS,
    otlp_metrics_json = TDG_OTLP_METRICS_JSON,
    otlp_logs_json = TDG_OTLP_LOGS_JSON,
    ndjson = TDG_NDJSON,
    vm_import = TDG_VM_IMPORT,
    opentsdb = TDG_OPENTSDB,
    graphite = TDG_GRAPHITE,
    collectd = TDG_COLLECTD,
};

// A registered series: a number, good for every writer of its engine.
struct series {
    tdg_series number;
};

// Stands for the rows of a flush, of the writer that gave it.
struct token {
    tdg_token number;
};

// What became of columns: how many of their samples or rows were taken, from the first on, and why it was not all. With
// TDG_E_FULL push the rest again later; with TDG_E_INPUT and TDG_E_LIMIT the next one is never taken.
struct [[nodiscard]] pushed {
    std::size_t taken;
    tdg_status status;

    // Whether all was taken.
    explicit operator bool() const noexcept { return status == TDG_OK; }
};

// What became of a body.
struct [[nodiscard]] written : tdg_written {
    // Why the first of its rows was rejected; empty if none was.
    std::string rejection;
    // There was no room for what lies behind `consumed`: write that again later, in the way that `tdg_writer_write` tells
    // for the protocol; one that is a message comes again whole, with the rows that were taken.
    bool full = false;
};

// What an engine is told when it is opened.
class options {
public:
    options() : handle_(tdg_options_new(), tdg_options_free) {
        if (!handle_) throw std::bad_alloc();
    }

    // Keys and values are those of the configuration file: "data.retention", "15d".
    options &set(std::string_view key, std::string_view value) {
        tdg_error *why = nullptr;
        detail::check(tdg_options_set(handle_.get(), detail::str(key), detail::str(value), &why), why);
        return *this;
    }

    // Has the engine's messages told to `log`; see `tdg_options_set_log`.
    options &set_log(tdg_log_fn log, void *userdata, std::int32_t level_max) {
        tdg_error *why = nullptr;
        detail::check(tdg_options_set_log(handle_.get(), log, userdata, level_max, &why), why);
        return *this;
    }

    [[nodiscard]] const tdg_options *get() const noexcept { return handle_.get(); }

private:
    std::unique_ptr<tdg_options, decltype(&tdg_options_free)> handle_;
};

// An engine on a data directory.
class engine {
public:
    explicit engine(const options &options) : handle_(open(options), tdg_engine_free) {}

    // Commits what was pushed, seals the log and ends the threads. `false`: not done yet, and it goes on.
    [[nodiscard]] bool close(std::chrono::nanoseconds timeout) {
        tdg_error *why = nullptr;
        const tdg_status status = tdg_engine_close(handle_.get(), detail::timeout(timeout), &why);
        if (status == TDG_E_TIMEOUT) {
            tdg_error_free(why);
            return false;
        }
        detail::check(status, why);
        return true;
    }

    // Makes a series known: once for its life, not once a row.
    [[nodiscard]] tidegate::series series(std::string_view name, view<label> labels = {}) {
        tdg_error *why = nullptr;
        tidegate::series made{};
        detail::check(tdg_engine_series(handle_.get(), detail::str(name), labels.data(), labels.size(),
                                        &made.number, &why),
                      why);
        return made;
    }

    // Takes a registration back, when what the series is about has gone.
    void release(tidegate::series series) { detail::check(tdg_engine_release(handle_.get(), series.number)); }

    [[nodiscard]] tdg_stats stats() const {
        tdg_stats stats{};
        detail::check(tdg_engine_stats(handle_.get(), &stats, sizeof stats));
        return stats;
    }

    // Makes a cursor, unless there is one of this name: that stays where it is. `start` is TDG_CURSOR_OLDEST or _NOW.
    void create_cursor(std::string_view name, std::int32_t start = TDG_CURSOR_OLDEST) {
        tdg_error *why = nullptr;
        detail::check(tdg_cursor_create(handle_.get(), detail::str(name), start, &why), why);
    }

    // Removes a cursor, which holds nothing any more when this returns.
    void delete_cursor(std::string_view name) {
        tdg_error *why = nullptr;
        detail::check(tdg_cursor_delete(handle_.get(), detail::str(name), &why), why);
    }

    // How a cursor stands: some milliseconds, not a counter.
    [[nodiscard]] tdg_cursor_stats cursor(std::string_view name) const {
        tdg_cursor_stats stats{};
        tdg_error *why = nullptr;
        detail::check(tdg_cursor_look(handle_.get(), detail::str(name), &stats, sizeof stats, &why), why);
        return stats;
    }

    [[nodiscard]] tdg_engine *get() const noexcept { return handle_.get(); }

private:
    static tdg_engine *open(const options &options) {
        tdg_error *why = nullptr;
        tdg_engine *opened = nullptr;
        detail::check(tdg_engine_open(options.get(), &opened, &why), why);
        return opened;
    }

    std::unique_ptr<tdg_engine, decltype(&tdg_engine_free)> handle_;
};

// A thread's way into an engine. It frees and never flushes.
class writer {
public:
    explicit writer(engine &engine) : handle_(make(engine), tdg_writer_free) {}

    // How long calls may wait for room; 0 not at all.
    void set_full_wait(std::chrono::nanoseconds wait) {
        detail::check(tdg_writer_set_full_wait(handle_.get(), detail::timeout(wait)));
    }

    // Pushes a sample. `false`: there is no room, and it was not taken.
    [[nodiscard]] bool push(series series, time at, double value) {
        return has_room(tdg_writer_push(handle_.get(), series.number, at.ns, value));
    }

    // Pushes a row of any fields. `false`: there is no room, and it was not taken.
    [[nodiscard]] bool push(series series, time at, view<field> fields) {
        return has_room(
            tdg_writer_push_row(handle_.get(), series.number, at.ns, fields.data(), fields.size()));
    }

    // Pushes samples of one series, as many as there are times and values.
    pushed push_times(series series, view<std::int64_t> times_ns, view<double> values) {
        same(times_ns.size(), values.size());
        pushed made{};
        made.status = tdg_writer_push_times(handle_.get(), series.number, times_ns.data(), values.data(),
                                            values.size(), &made.taken);
        return made;
    }

    // Pushes samples of one time, one for each series.
    pushed push_series(view<series> series, time at, view<double> values) {
        same(series.size(), values.size());
        pushed made{};
        made.status = tdg_writer_push_series(handle_.get(), numbers(series), at.ns, values.data(), values.size(),
                                             &made.taken);
        return made;
    }

    // Pushes samples of any series and times.
    pushed push_samples(view<series> series, view<std::int64_t> times_ns, view<double> values) {
        same(series.size(), values.size());
        same(times_ns.size(), values.size());
        pushed made{};
        made.status = tdg_writer_push_samples(handle_.get(), numbers(series), times_ns.data(), values.data(),
                                              values.size(), &made.taken);
        return made;
    }

    // Pushes rows of one series, one for each time: each column has a value for each of them.
    pushed push_columns(series series, view<std::int64_t> times_ns, view<column> columns) {
        std::vector<tdg_column> lent;
        lent.reserve(columns.size());
        for (std::size_t i = 0; i < columns.size(); i++) {
            same(columns.data()[i].size(), times_ns.size());
            lent.push_back(columns.data()[i].get());
        }
        pushed made{};
        made.status = tdg_writer_push_columns(handle_.get(), series.number, times_ns.data(), times_ns.size(),
                                              lent.data(), lent.size(), &made.taken);
        return made;
    }

    // Writes a body of a protocol, as it was received. Rejected rows are told of and do not keep the others out; so is
    // it where room ended. Throws if the body is not of the protocol: nothing of it was taken then.
    written write(protocol protocol, std::string_view body) {
        written made{};
        tdg_error *why = nullptr;
        const tdg_status status = tdg_writer_write(handle_.get(), static_cast<std::int32_t>(protocol),
                                                   detail::str(body), &made, &why);
        made.full = status == TDG_E_FULL;
        if (!made.full && status != TDG_E_REJECTED) {
            detail::check(status, why);
            return made;
        }
        std::unique_ptr<tdg_error, decltype(&tdg_error_free)> owned(why, tdg_error_free);
        if (status == TDG_E_REJECTED) {
            const tdg_str told = tdg_error_message(why);
            made.rejection.assign(told.ptr, told.len);
        }
        return made;
    }

    // Hands over what was pushed, to be committed at once; waits for nothing.
    token flush() {
        token made{};
        detail::check(tdg_writer_flush(handle_.get(), &made.number));
        return made;
    }

    // Waits until the rows of a token are on stable storage. `false`: not yet. Throws if they are in doubt.
    [[nodiscard]] bool wait(token token, std::chrono::nanoseconds timeout) const {
        const tdg_status status = tdg_writer_wait(handle_.get(), token.number, detail::timeout(timeout));
        if (status == TDG_E_TIMEOUT) return false;
        detail::check(status);
        return true;
    }

    // A descriptor for an event loop; see `tdg_writer_fd`.
    [[nodiscard]] int fd() {
        std::int32_t fd = -1;
        detail::check(tdg_writer_fd(handle_.get(), &fd));
        return fd;
    }

    [[nodiscard]] tdg_writer *get() const noexcept { return handle_.get(); }

private:
    static tdg_writer *make(engine &engine) {
        tdg_error *why = nullptr;
        tdg_writer *made = nullptr;
        detail::check(tdg_writer_new(engine.get(), &made, &why), why);
        return made;
    }

    static bool has_room(tdg_status status) {
        if (status == TDG_E_FULL) return false;
        detail::check(status);
        return true;
    }

    static void same(std::size_t a, std::size_t b) {
        if (a != b) throw error(TDG_E_INPUT, "columns of different lengths");
    }

    static const tdg_series *numbers(view<series> series) noexcept {
        static_assert(sizeof(tidegate::series) == sizeof(tdg_series));
        return series.size() > 0 ? &series.data()->number : nullptr;
    }

    std::unique_ptr<tdg_writer, decltype(&tdg_writer_free)> handle_;
};

// A stream of Arrow's record batches, released with this unless somebody has moved it out of `get()`.
class stream {
public:
    stream() noexcept = default;
    stream(stream &&other) noexcept : stream_(std::exchange(other.stream_, ArrowArrayStream{})) {}
    stream &operator=(stream &&other) noexcept {
        std::swap(stream_, other.stream_);
        return *this;
    }
    ~stream() {
        if (stream_.release != nullptr) stream_.release(&stream_);
    }

    // For an Arrow library, which takes what is in it.
    [[nodiscard]] ArrowArrayStream *get() noexcept { return &stream_; }

private:
    ArrowArrayStream stream_{};
};

// All that a data directory holds now, without an engine, a cursor or a lock. Its stream fails once, at its end, if
// something was damaged and left out.
[[nodiscard]] inline stream read_directory(std::string_view directory) {
    stream all;
    tdg_error *why = nullptr;
    detail::check(tdg_directory_read(detail::str(directory), all.get(), &why), why);
    return all;
}

// A block that a reader gave: what it is, and its values.
struct block : tdg_block {
    stream values;
};

// Gives the log's blocks behind a cursor, as they become durable. A cursor has one reader at a time.
class reader {
public:
    reader(const engine &engine, std::string_view cursor) : handle_(open(engine, cursor), tdg_reader_free) {}

    // The next block, waiting for one; nothing if there is none by then.
    [[nodiscard]] std::optional<block> next(std::chrono::nanoseconds timeout) {
        block given{};
        tdg_error *why = nullptr;
        const tdg_status status =
            tdg_reader_next(handle_.get(), detail::timeout(timeout), &given, given.values.get(), &why);
        if (status == TDG_E_TIMEOUT) {
            tdg_error_free(why);
            return std::nullopt;
        }
        detail::check(status, why);
        return given;
    }

    // Moves the cursor behind a block, and so behind all earlier ones of its worker: on disk when this returns.
    void commit(const tdg_block &block) {
        tdg_error *why = nullptr;
        detail::check(tdg_reader_commit(handle_.get(), &block, &why), why);
    }

    // Moves the cursor behind all blocks that this reader gave.
    void commit_all() {
        tdg_error *why = nullptr;
        detail::check(tdg_reader_commit(handle_.get(), nullptr, &why), why);
    }

    [[nodiscard]] tdg_reader *get() const noexcept { return handle_.get(); }

private:
    static tdg_reader *open(const engine &engine, std::string_view cursor) {
        tdg_error *why = nullptr;
        tdg_reader *opened = nullptr;
        detail::check(tdg_reader_open(engine.get(), detail::str(cursor), &opened, &why), why);
        return opened;
    }

    std::unique_ptr<tdg_reader, decltype(&tdg_reader_free)> handle_;
};

} // namespace tidegate

#endif // TIDEGATE_HPP
