package tidegate

// #include <tidegate.h>
import "C"

import "unsafe"

// Protocol says what a body is.
type Protocol int32

// The protocols; tidegate.h says more of each.
const (
	Influx          Protocol = C.TDG_INFLUX
	InfluxUS        Protocol = C.TDG_INFLUX_US
	InfluxMS        Protocol = C.TDG_INFLUX_MS
	InfluxS         Protocol = C.TDG_INFLUX_S
	PrometheusText  Protocol = C.TDG_PROMETHEUS_TEXT
	OpenMetrics     Protocol = C.TDG_OPENMETRICS
	RemoteWrite     Protocol = C.TDG_REMOTE_WRITE
	RemoteWrite2    Protocol = C.TDG_REMOTE_WRITE_2
	OTLPMetrics     Protocol = C.TDG_OTLP_METRICS
	OTLPLogs        Protocol = C.TDG_OTLP_LOGS
	OTLPMetricsJSON Protocol = C.TDG_OTLP_METRICS_JSON
	OTLPLogsJSON    Protocol = C.TDG_OTLP_LOGS_JSON
	NDJSON          Protocol = C.TDG_NDJSON
	VMImport        Protocol = C.TDG_VM_IMPORT
	OpenTSDB        Protocol = C.TDG_OPENTSDB
	Graphite        Protocol = C.TDG_GRAPHITE
	Collectd        Protocol = C.TDG_COLLECTD
)

// Written is what became of a body: rows taken and rejected, and what the rows taken held.
type Written struct {
	Accepted, Rejected, Samples, Exemplars, Metadata uint64
	// Consumed is how many bytes need not come again.
	Consumed int
}

// Write writes a body of a protocol, as it was received. Bad rows do not keep the others out: with ErrRejected the
// others are taken, and the error names the first that was not.
//
// Errors: ErrInput if the body is not of the protocol; ErrFull if there was no room for what lies behind Consumed: how
// the rest comes depends on the protocol, and of one that is a message rows come again, as tdg_writer_write in tidegate.h
// has it.
func (w *Writer) Write(protocol Protocol, body []byte) (Written, error) {
	writer, err := w.enter()
	if err != nil {
		return Written{}, err
	}
	defer w.leave()
	var written C.tdg_written
	var why *C.tdg_error
	lent := C.tdg_str{ptr: (*C.char)(unsafe.Pointer(unsafe.SliceData(body))), len: C.size_t(len(body))}
	status := C.tdg_writer_write(writer, C.int32_t(protocol), lent, &written, &why)
	return Written{
		Accepted: uint64(written.accepted), Rejected: uint64(written.rejected), Samples: uint64(written.samples),
		Exemplars: uint64(written.exemplars), Metadata: uint64(written.metadata), Consumed: int(written.consumed),
	}, explained(status, why)
}
