package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/install"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/lost"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/metrics"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// serveTime is how long an answer may take: Prometheus waits no longer, unless it is
// told to.
const serveTime = 10 * time.Second

// A server answers what install --watch knows over HTTP.
type server struct {
	where  placeFlags
	status atomic.Pointer[install.Status] // of the last look
	lost   *lost.Collector                // nil without --gc
	whole  bool                           // this process sees the whole node
	mu     sync.Mutex                     // one looks at the node at once
}

// serve answers at the address until ctx is done. It returns an error if it cannot
// listen there; later ones it logs.
func (s *server) serve(ctx context.Context, address string, log func(format string, args ...any)) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("--metrics %s: %w; give another address, such as 127.0.0.1:9440", address, err)
	}
	srv := &http.Server{Handler: s.handler(), ReadTimeout: serveTime, WriteTimeout: 2 * serveTime}
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	go func() {
		if err := srv.Serve(listener); !errors.Is(err, net.ErrClosed) && ctx.Err() == nil {
			log("serving --metrics %s: %v", address, err)
		}
	}()
	return nil
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /readyz", s.probe(install.Status.Installed))
	mux.HandleFunc("GET /healthz", s.probe(install.Status.Live))
	return mux
}

// probe answers whether the check finds nothing wrong with the status, and if not, why.
func (s *server) probe(check func(install.Status, time.Time) error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if why := check(*s.status.Load(), time.Now()); why != nil {
			http.Error(w, output.Clean(why.Error()), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n") // who hung up does not want it
	}
}

// metrics answers with one look at the node. What could not be seen is a metric, too. In
// a container, which may not open maps, it says nothing of endpoints.
func (s *server) metrics(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), serveTime)
	defer cancel()
	n := metrics.Node{Version: buildVersion, Install: s.status.Load()}
	if s.lost != nil {
		n.Released = s.lost.Released
	}
	if s.whole {
		s.mu.Lock()
		n.Look, _ = s.where.measure(ctx, io.Discard)
		s.mu.Unlock()
	}
	var text bytes.Buffer
	if err := metrics.Write(&text, n); err != nil {
		http.Error(w, output.Clean(err.Error()), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", metrics.ContentType())
	_, _ = text.WriteTo(w) // as above
}
