package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/install"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/lost"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/places"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testcri"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// wantMetrics wants lines that begin so in the text, or not if they begin with "-"; and
// names that follow the rules of Prometheus.
func wantMetrics(t *testing.T, name, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		line, absent := strings.CutPrefix(line, "-")
		if strings.Contains("\n"+text, "\n"+line) == absent {
			t.Errorf("%s: line %q, want there: %v, in:\n%s", name, line, !absent, text)
		}
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%s: promlint says %v, %v, want nothing", name, problems, err)
	}
}

// Each look at the node is in the metrics; what is not known has no number.
func TestMetrics(t *testing.T) {
	n := newNode(t, "a", "b", "lost")
	conf := confOf(t, withUs)
	r := testcri.Start(t, testcri.Pod{ID: "a"}, testcri.Pod{ID: "new"})
	silent := testcri.Start(t)
	silent.Silence()
	endpoints := []string{
		`bpffs_endpoints{network="pods",state="ok"} 2`, `bpffs_endpoints{network="pods",state="netns-gone"} 1`,
		`bpffs_endpoints{network="pods",state="pin-missing"} 0`, `bpffs_endpoint_ids_left{root="` + n.root + `"} 65532`,
		`bpffs_map_memory_bytes{network="pods"} `, `-bpffs_map_memory_bytes{network="pods"} 0`, "bpffs_look_success 1", `bpffs_build_info{goversion="go`,
	}
	for _, tt := range []struct {
		name, conf, socket, more string
		want                     []string
	}{
		{"all", conf, r.Socket, "", append(endpoints, `bpffs_network_has_plugin{network="pods"} 1`, `bpffs_pods_without_endpoint{network="pods"} 1`)},
		{"a runtime that does not answer", conf, silent.Socket, "", append(endpoints, `bpffs_network_has_plugin{network="pods"} 1`, `-bpffs_pods_without_endpoint`)},
		{"a network without the plugin", confOf(t, `{"type":"bridge"}`), r.Socket, "", append(endpoints, `bpffs_network_has_plugin{network="pods"} 0`, `-bpffs_pods_without_endpoint`)},
		{"no network", t.TempDir(), r.Socket, "", append(endpoints, `bpffs_network_has_plugin{network=""} 0`, `-bpffs_pods_without_endpoint`)},
		{"one root", conf, r.Socket, " --root " + n.root, append(endpoints, `-bpffs_pods_without_endpoint`, `-bpffs_installed`)},
	} {
		var out, errs strings.Builder
		if code := run(t.Context(), strings.Fields("metrics --conf-dir "+tt.conf+" --cri-socket "+tt.socket+tt.more), &out, &errs); code != exitDone {
			t.Errorf("%s: got exit code %d, want %d: %s", tt.name, code, exitDone, errs.String())
		}
		wantMetrics(t, tt.name, out.String(), tt.want...)
	}
	testns.Mount(t, "tmpfs", filepath.Dir(n.root), "") // hides it
	var out, errs strings.Builder
	if code := run(t.Context(), strings.Fields("metrics --conf-dir "+conf+" --cri-socket "+r.Socket), &out, &errs); code != exitFailed {
		t.Errorf("a bpffs that is hidden: got exit code %d, want %d: %s", code, exitFailed, errs.String())
	}
	wantMetrics(t, "a bpffs that is hidden", out.String(), "bpffs_look_success 0", "-bpffs_pods_without_endpoint")
}

// What install --watch serves is what probe says, and the metrics beside it.
func TestServe(t *testing.T) {
	n := newNode(t, "a")
	now := time.Now()
	for _, tt := range []struct {
		name           string
		status         install.Status
		ready, healthy int
		says           string
		metrics        []string
	}{
		{"installed", install.Status{Looked: now, Ready: true, Restored: 2}, 200, 200, "ok\n", []string{"bpffs_installed 1", "bpffs_reinstallations_total 2", "bpffs_lost_endpoints_removed_total 0"}},
		{"waiting", install.Status{Looked: now, Reason: "waiting: for\x1b it"}, 503, 200, "waiting: for\\x1b it\n", []string{"bpffs_installed 0", "bpffs_reinstallations_total 0"}},
		{"hanging", install.Status{Looked: now.Add(-time.Hour), Ready: true}, 503, 503, "has not looked at the node for 1h0m0s\n", []string{"bpffs_install_look_timestamp_seconds "}},
	} {
		s := &server{where: placeFlags{Where: places.Where{ConfDir: confOf(t, withUs)}, socket: "/none"}, lost: &lost.Collector{}, whole: true}
		s.where.Root = n.root
		s.status.Store(&tt.status)
		get := func(path string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			s.handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
			return w
		}
		ready, healthy, measured := get("/readyz"), get("/healthz"), get("/metrics")
		if ready.Code != tt.ready || healthy.Code != tt.healthy || !strings.HasSuffix(ready.Body.String(), tt.says) {
			t.Errorf("%s: got %d, %d, %q, want %d, %d, %q", tt.name, ready.Code, healthy.Code, ready.Body, tt.ready, tt.healthy, tt.says)
		}
		wantMetrics(t, tt.name, measured.Body.String(), append(tt.metrics, `bpffs_endpoints{network="pods",state="ok"} 1`)...)
		if measured.Code != 200 || !strings.HasPrefix(measured.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
			t.Errorf("%s: /metrics: got %d, %v", tt.name, measured.Code, measured.Header())
		}
	}
}

// In a container nothing is said of endpoints, for their maps cannot be opened there.
func TestServeInContainer(t *testing.T) {
	s := &server{}
	s.status.Store(&install.Status{Looked: time.Now(), Ready: true})
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	wantMetrics(t, "in a container", w.Body.String(), "bpffs_installed 1", "bpffs_build_info{", "-bpffs_endpoints", "-bpffs_look", "-bpffs_lost_endpoints_removed_total")
}

// An address at which nobody can listen is refused before anything is changed.
func TestServeTakenAddress(t *testing.T) {
	testns.Need(t)
	bin := t.TempDir()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	testns.Must(t, err)
	defer taken.Close()
	for args, want := range map[string]string{
		"--watch --metrics nonsense":                 "--metrics nonsense: ",
		"--watch --metrics " + taken.Addr().String(): "address already in use; give another address, such as 127.0.0.1:9440",
		"--metrics 127.0.0.1:0":                      "add --watch",
		"--gc":                                       "add --watch, or use bpffsctl gc",
		"--watch --node-root /host":                  "add --gc",
		"--watch --gc --node-root host":              "--node-root host: it is not an absolute path",
	} {
		var out strings.Builder
		code := run(t.Context(), append(strings.Fields("install --from /none --bin-dir "+bin+" --conf-dir "+bin), strings.Fields(args)...), &out, &out)
		if code != exitFailed || !strings.Contains(out.String(), want) {
			t.Errorf("%s: got exit code %d, %q, want %d, %q", args, code, out.String(), exitFailed, want)
		}
	}
	if entries, err := os.ReadDir(bin); err != nil || len(entries) > 0 {
		t.Errorf("got %v, %v, want nothing there", entries, err)
	}
}

// upLoopback makes 127.0.0.1 of the test's network namespace answer.
func upLoopback(t *testing.T) {
	t.Helper()
	testns.Need(t)
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	testns.Must(t, err)
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	testns.Must(t, err)
	lo.SetUint16(unix.IFF_UP)
	testns.Must(t, unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo))
}

// A served address answers until the process is told to end, and then it is free.
func TestServeEnds(t *testing.T) {
	upLoopback(t)
	listen := func(address string) net.Listener {
		t.Helper()
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		testns.Must(t, err)
		return l
	}
	free := listen("127.0.0.1:0")
	address := free.Addr().String()
	testns.Must(t, free.Close())
	s := &server{}
	s.status.Store(&install.Status{Looked: time.Now(), Ready: true})
	ctx, stop := context.WithCancel(t.Context())
	testns.Must(t, s.serve(ctx, address, t.Errorf))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/readyz", nil)
	testns.Must(t, err)
	answer, err := http.DefaultClient.Do(request)
	testns.Must(t, err)
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("got %s, want 200", answer.Status)
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err == nil {
			testns.Must(t, l.Close())
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after the end: got %v, want the address free", err)
		}
	}
}
