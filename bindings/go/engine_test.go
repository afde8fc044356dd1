package tidegate_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tidegate.dev/go/tidegate"
)

// long is more than any call takes that is to succeed.
func long(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// past is a context that has ended.
func past() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t testing.TB, err, expected error) {
	t.Helper()
	if !errors.Is(err, expected) {
		t.Fatalf("%v, not %v", err, expected)
	}
}

// open opens an engine that commits on demand alone, and says where.
func open(t testing.TB) (*tidegate.Engine, string) {
	directory := t.TempDir()
	engine := must[*tidegate.Engine](t)(tidegate.Open(tidegate.Options{
		Directory: directory,
		Set:       map[string]string{"data.disk": "threads", "data.commit_interval": "1m"},
	}))
	t.Cleanup(func() { ok(t, engine.Close(long(t))) })
	return engine, directory
}

// line is a value as a test compares it.
func line(v tidegate.Value) string {
	return fmt.Sprintf("%d %s%v %s=%T:%v", v.TimeNS, v.Name, v.Labels, v.Field, v.Value, v.Value)
}

// read gives all values of a directory, sorted.
func read(t testing.TB, directory string) []string {
	stream := must[*tidegate.Stream](t)(tidegate.ReadDirectory(directory))
	defer stream.Close()
	var lines []string
	ok(t, stream.Each(func(v tidegate.Value) error { lines = append(lines, line(v)); return nil }))
	slices.Sort(lines)
	return lines
}

func settle(t testing.TB, writer *tidegate.Writer) {
	t.Helper()
	ok(t, writer.Wait(long(t), must[tidegate.Token](t)(writer.Flush())))
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	engine, directory := open(t)
	series := must[tidegate.Series](t)
	a := series(engine.Series("m", tidegate.Label{Name: "host", Value: "a"}, tidegate.Label{Name: "b", Value: "é"}))
	b := series(engine.Series("n"))
	writer := must[*tidegate.Writer](t)(engine.Writer())
	var batch tidegate.Batch
	batch.Add(a, 1, 0.5)
	batch.Add(b, 2, -1)
	batch.Add(a, 3, math.Inf(1))
	ok(t, writer.Push(&batch))
	if batch.Len() != 0 {
		t.Fatal("a batch that is taken is empty")
	}
	taken := must[int](t)
	all := func(got, want int) {
		t.Helper()
		if got != want {
			t.Fatalf("%d taken, not %d", got, want)
		}
	}
	all(taken(writer.PushTimes(b, []int64{10, 11}, []float64{1, 2})), 2)
	all(taken(writer.PushSeries([]tidegate.Series{a, b}, 20, []float64{3, 4})), 2)
	all(taken(writer.PushColumns(b, []int64{30, 31},
		tidegate.Floats("f", []float64{1, 2}), tidegate.Ints("i", []int64{-1, math.MinInt64}),
		tidegate.Uints("u", []uint64{1, math.MaxUint64}), tidegate.Bools("b", []bool{true, false}),
		tidegate.Strings("s", []string{"", "some text"}), tidegate.Bytes("y", [][]byte{{0xff}, nil}))), 2)
	all(taken(writer.PushTimes(b, nil, nil)), 0)
	ok(t, writer.Push(&batch))
	settle(t, writer)
	expected := []string{
		`1 m[{b é} {host a}] value=float64:0.5`, `3 m[{b é} {host a}] value=float64:+Inf`,
		`20 m[{b é} {host a}] value=float64:3`, `2 n[] value=float64:-1`, `10 n[] value=float64:1`,
		`11 n[] value=float64:2`, `20 n[] value=float64:4`,
		`30 n[] f=float64:1`, `30 n[] i=int64:-1`, `30 n[] u=uint64:1`, `30 n[] b=bool:true`, `30 n[] s=string:`,
		`30 n[] y=[]uint8:[255]`, `31 n[] f=float64:2`, `31 n[] i=int64:-9223372036854775808`,
		`31 n[] u=uint64:18446744073709551615`, `31 n[] b=bool:false`, `31 n[] s=string:some text`,
		`31 n[] y=[]uint8:[]`,
	}
	slices.Sort(expected)
	if got := read(t, directory); !reflect.DeepEqual(got, expected) {
		t.Fatalf("%s\nis not\n%s", strings.Join(got, "\n"), strings.Join(expected, "\n"))
	}
}

func TestABatchKeepsWhatWasNotTaken(t *testing.T) {
	engine, directory := open(t)
	good := must[tidegate.Series](t)(engine.Series("good"))
	writer := must[*tidegate.Writer](t)(engine.Writer())
	var batch tidegate.Batch
	batch.Add(good, 1, 1)
	batch.Add(42, 2, 2)
	batch.Add(good, 3, 3)
	is(t, writer.Push(&batch), tidegate.ErrInput)
	if batch.Len() != 2 {
		t.Fatalf("%d are left, not the bad one and the one behind it", batch.Len())
	}
	is(t, writer.Push(&batch), tidegate.ErrInput)
	batch.Skip(1)
	ok(t, writer.Push(&batch))
	settle(t, writer)
	if got := read(t, directory); len(got) != 2 {
		t.Fatalf("%q", got)
	}
	taken, err := writer.PushColumns(good, []int64{4, 5, 6}, tidegate.Strings("s", []string{"x", "y", "\xff"}))
	is(t, err, tidegate.ErrInput)
	if taken != 2 {
		t.Fatalf("%d are taken, not the two before the bad one", taken)
	}
	_, err = writer.PushTimes(good, []int64{1}, nil)
	is(t, err, tidegate.ErrInput)
	_, err = writer.PushColumns(good, []int64{1}, tidegate.Floats("f", nil))
	is(t, err, tidegate.ErrInput)
	_, err = writer.PushColumns(good, []int64{1}, tidegate.Strings("s", []string{"\xff"}))
	is(t, err, tidegate.ErrInput)
}

func TestWaitsEndWithTheirContext(t *testing.T) {
	engine, _ := open(t)
	ok(t, engine.CreateCursor("c", tidegate.Oldest))
	reader := must[*tidegate.Reader](t)(engine.Reader("c"))
	wait := func(ctx context.Context) error { _, _, err := reader.Next(ctx); return err }
	is(t, wait(past()), context.Canceled)
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("stop")
	ended := make(chan error)
	go func() { ended <- wait(ctx) }()
	cancel(stop)
	err := <-ended
	is(t, err, stop)
	is(t, err, tidegate.ErrTimeout)
	brief, release := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer release()
	is(t, wait(brief), context.DeadlineExceeded)
	if brief.Err() == nil {
		t.Fatal("it ended before its time")
	}
	// What is there already is told by a context that has ended, too.
	writer := must[*tidegate.Writer](t)(engine.Writer())
	var batch tidegate.Batch
	batch.Add(must[tidegate.Series](t)(engine.Series("m")), tidegate.Now, 1)
	ok(t, writer.Push(&batch))
	token := must[tidegate.Token](t)(writer.Flush())
	ok(t, writer.Wait(long(t), token))
	ok(t, writer.Wait(past(), token))
	is(t, writer.Wait(long(t), token+1), tidegate.ErrInput)
}

func TestBodiesAreTaken(t *testing.T) {
	engine, directory := open(t)
	writer := must[*tidegate.Writer](t)(engine.Writer())
	body := []byte("cpu,host=a usage=1.5 7\nno line\ncpu usage=2i 8\n")
	written, err := writer.Write(tidegate.Influx, body)
	is(t, err, tidegate.ErrRejected)
	if written.Accepted != 2 || written.Rejected != 1 || written.Consumed != len(body) {
		t.Fatalf("%+v", written)
	}
	_, err = writer.Write(tidegate.OTLPMetricsJSON, []byte("["))
	is(t, err, tidegate.ErrInput)
	if _, err = writer.Write(tidegate.Graphite, nil); err != nil {
		t.Fatal(err)
	}
	settle(t, writer)
	expected := []string{`7 cpu[{host a}] usage=float64:1.5`, `8 cpu[] usage=int64:2`}
	if got := read(t, directory); !reflect.DeepEqual(got, expected) {
		t.Fatalf("%q", got)
	}
}

func TestNothingOfAValueIsFlattened(t *testing.T) {
	engine, directory := open(t)
	writer := must[*tidegate.Writer](t)(engine.Writer())
	before := time.Now().UnixNano()
	body := `{"time":7,"start":4,"labels":{"__name__":"m"},"fields":{"raw":{"string":"a\udcffb"}}}
{"time":8,"start":0,"labels":{"__name__":"m"},"fields":{"n":{"null":null}}}
{"time":9,"labels":{"__name__":"m"},"fields":{"stale":{"f64":"stale"}}}
`
	must[tidegate.Written](t)(writer.Write(tidegate.NDJSON, []byte(body)))
	settle(t, writer)
	stream := must[*tidegate.Stream](t)(tidegate.ReadDirectory(directory))
	defer stream.Close()
	var lines []string
	ok(t, stream.Each(func(v tidegate.Value) error {
		if f, is := v.Value.(float64); is {
			v.Value = math.Float64bits(f)
		}
		lines = append(lines, fmt.Sprintf("%d from %d %v: %s %T %v of %d",
			v.TimeNS, v.StartNS, v.HasStart, v.Type, v.Value, v.Value, v.Tenant))
		// The block's clock never goes back, and may be a little ahead.
		if v.ArrivalNS < before-int64(time.Hour) || v.ArrivalNS > time.Now().Add(time.Hour).UnixNano() {
			t.Errorf("it came at %d", v.ArrivalNS)
		}
		return nil
	}))
	slices.Sort(lines)
	expected := []string{
		"7 from 4 true: string []uint8 [97 255 98] of 0",
		"8 from 0 true: null <nil> <nil> of 0",
		"9 from 0 false: f64 uint64 9218868437227405314 of 0",
	}
	if !reflect.DeepEqual(lines, expected) {
		t.Fatalf("%q", lines)
	}
}

func TestAWriterIsClosedWhileAPushWaitsForRoom(t *testing.T) {
	engine, _ := open(t)
	series := must[tidegate.Series](t)(engine.Series("m"))
	writer := must[*tidegate.Writer](t)(engine.Writer())
	ok(t, writer.SetFullWait(-1))
	pushed := make(chan error)
	go func() {
		var batch tidegate.Batch
		for {
			for i := int64(0); i < 100_000; i++ {
				batch.Add(series, i, 1)
			}
			if err := writer.Push(&batch); err != nil {
				pushed <- err
				return
			}
		}
	}()
	for must[tidegate.Stats](t)(engine.Stats()).RowsAccepted == 0 {
		runtime.Gosched()
	}
	ok(t, writer.Close())
	_, err := writer.Flush()
	is(t, err, tidegate.ErrClosed)
	is(t, <-pushed, tidegate.ErrClosed)
}

func TestACursorGivesEachBlockUntilItIsCommitted(t *testing.T) {
	engine, _ := open(t)
	ok(t, engine.CreateCursor("c", tidegate.Oldest))
	writer := must[*tidegate.Writer](t)(engine.Writer())
	series := must[tidegate.Series](t)(engine.Series("m"))
	for i := int64(0); i < 2; i++ {
		must[int](t)(writer.PushTimes(series, []int64{i}, []float64{1}))
		settle(t, writer)
	}
	next := func(reader *tidegate.Reader) (tidegate.Block, []string) {
		block, stream, err := reader.Next(long(t))
		ok(t, err)
		defer stream.Close()
		var lines []string
		ok(t, stream.Each(func(v tidegate.Value) error { lines = append(lines, line(v)); return nil }))
		return block, lines
	}
	reader := must[*tidegate.Reader](t)(engine.Reader("c"))
	_, err := engine.Reader("c")
	is(t, err, tidegate.ErrLocked)
	first, lines := next(reader)
	if !reflect.DeepEqual(lines, []string{"0 m[] value=float64:1"}) || first.Rows != 1 || first.Values != 1 {
		t.Fatalf("%+v %q", first, lines)
	}
	ok(t, reader.Close())
	reader = must[*tidegate.Reader](t)(engine.Reader("c"))
	again, _ := next(reader)
	if again.Log != first.Log || again.Sequence != first.Sequence || again.Worker != first.Worker {
		t.Fatalf("%+v is not %+v", again, first)
	}
	ok(t, reader.Commit(again))
	if stats := must[tidegate.CursorStats](t)(engine.Cursor("c")); stats.RowsBehind != 1 {
		t.Fatalf("%+v", stats)
	}
	next(reader)
	ok(t, reader.CommitAll())
	if stats := must[tidegate.CursorStats](t)(engine.Cursor("c")); stats.RowsBehind != 0 {
		t.Fatalf("%+v", stats)
	}
	is(t, reader.Commit(tidegate.Block{}), tidegate.ErrInput)
	is(t, engine.DeleteCursor("c"), tidegate.ErrLocked)
	ok(t, reader.Close())
	ok(t, engine.DeleteCursor("c"))
	_, err = engine.Reader("c")
	is(t, err, tidegate.ErrInput)
}

func TestAClosedHandleSaysSo(t *testing.T) {
	engine, directory := open(t)
	writer := must[*tidegate.Writer](t)(engine.Writer())
	_, err := tidegate.Open(tidegate.Options{Directory: directory})
	is(t, err, tidegate.ErrLocked)
	var told *tidegate.Error
	if !errors.As(err, &told) || told.Message == "" {
		t.Fatalf("%v has no message", err)
	}
	ok(t, engine.Close(long(t)))
	ok(t, engine.Close(past()))
	_, err = engine.Series("m")
	is(t, err, tidegate.ErrClosed)
	_, err = writer.Flush()
	is(t, err, tidegate.ErrClosed)
	ok(t, writer.Close())
	ok(t, writer.Close())
	is(t, writer.Push(&tidegate.Batch{}), tidegate.ErrClosed)
	is(t, writer.Wait(long(t), 1), tidegate.ErrClosed)
	_, err = tidegate.Open(tidegate.Options{})
	is(t, err, tidegate.ErrConfig)
	_, err = tidegate.Open(tidegate.Options{Directory: directory, Set: map[string]string{"no.such": "1"}})
	is(t, err, tidegate.ErrConfig)
}

func TestMessagesAreTold(t *testing.T) {
	var mutex sync.Mutex
	told := 0
	engine := must[*tidegate.Engine](t)(tidegate.Open(tidegate.Options{
		Directory: t.TempDir(),
		LogLevel:  tidegate.LogDebug,
		Log: func(level tidegate.Level, message string) {
			mutex.Lock()
			defer mutex.Unlock()
			if level < tidegate.LogError || level > tidegate.LogDebug || message == "" {
				t.Errorf("%d %q", level, message)
			}
			told++
		},
	}))
	// A row of the far future is worth a warning.
	writer := must[*tidegate.Writer](t)(engine.Writer())
	series := must[tidegate.Series](t)(engine.Series("future"))
	must[int](t)(writer.PushTimes(series, []int64{math.MaxInt64}, []float64{1}))
	settle(t, writer)
	runtime.GC()
	ok(t, engine.Close(long(t)))
	mutex.Lock()
	defer mutex.Unlock()
	if told == 0 {
		t.Fatal("no message came")
	}
}

func TestGoroutinesWriteWhileOthersWaitAndOneCloses(t *testing.T) {
	const writers, batches, size = 16, 20, 100
	engine, directory := open(t)
	shared := must[tidegate.Series](t)(engine.Series("shared"))
	var group sync.WaitGroup
	for i := 0; i < writers; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			writer, err := engine.Writer()
			if err != nil {
				t.Error(err)
				return
			}
			// Half of them are forgotten.
			if i%2 == 0 {
				defer writer.Close()
			}
			var waits sync.WaitGroup
			defer waits.Wait()
			var batch tidegate.Batch
			for n := 0; n < batches; n++ {
				for k := 0; k < size; k++ {
					batch.Add(shared, int64(i*batches*size+n*size+k), 1)
				}
				for batch.Len() > 0 {
					if err := writer.Push(&batch); err != nil && !errors.Is(err, tidegate.ErrFull) {
						t.Error(err)
						return
					}
				}
				token, err := writer.Flush()
				if err != nil {
					t.Error(err)
					return
				}
				waits.Add(1)
				go func() {
					defer waits.Done()
					if err := writer.Wait(long(t), token); err != nil {
						t.Error(err)
					}
				}()
			}
		}(i)
	}
	group.Wait()
	runtime.GC()
	late := must[*tidegate.Writer](t)(engine.Writer())
	stop := make(chan error)
	go func() {
		for {
			if _, err := late.PushTimes(shared, []int64{-1}, []float64{0}); err != nil {
				stop <- err
				return
			}
		}
	}()
	ok(t, engine.Close(long(t)))
	is(t, <-stop, tidegate.ErrClosed)
	times := map[string]bool{}
	for _, line := range read(t, directory) {
		if !strings.HasPrefix(line, "-1 ") {
			times[line] = true
		}
	}
	if len(times) != writers*batches*size {
		t.Fatalf("%d rows, not %d", len(times), writers*batches*size)
	}
}

func TestCountsAreTold(t *testing.T) {
	engine, _ := open(t)
	writer := must[*tidegate.Writer](t)(engine.Writer())
	series := must[tidegate.Series](t)(engine.Series("m"))
	must[int](t)(writer.PushTimes(series, []int64{1, 2, 3}, []float64{1, 2, 3}))
	settle(t, writer)
	if stats := must[tidegate.Stats](t)(engine.Stats()); stats.RowsAccepted != 3 || stats.Commits == 0 || stats.SeriesRegistered != 1 {
		t.Fatalf("%+v", stats)
	}
	ok(t, engine.Release(series))
	is(t, engine.Release(series), tidegate.ErrInput)
	if tidegate.Version() == "" {
		t.Fatal("the library has a version")
	}
}
