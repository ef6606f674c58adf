package cri

import (
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testcri"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// What containerd 1.6 and 2.4 say, as they were asked, with other directories.
func TestConfigured(t *testing.T) {
	for _, tt := range []struct {
		name, info string
		want       Dirs
	}{
		{
			"1.6 of Debian", `{"cni": {"binDir": "/usr/lib/cni", "confDir": "/etc/cni/net.d", "maxConfNum": 1}, "containerd": {"runtimes": {"runc": {"cniConfDir": ""}}}}`,
			Dirs{[]string{"/usr/lib/cni"}, []string{"/etc/cni/net.d"}},
		},
		{
			"2.4", `{"cni": {"binDirs": ["/opt/cni/bin", "/usr/lib/cni"], "confDir": "/etc/cni/net.d"}}`,
			Dirs{[]string{"/opt/cni/bin", "/usr/lib/cni"}, []string{"/etc/cni/net.d"}},
		},
		{
			"2.x with the old key, empty", `{"cni": {"binDir": "", "binDirs": ["/opt/cni/bin/"], "confDir": "/etc/cni/net.d"}}`,
			Dirs{[]string{"/opt/cni/bin"}, []string{"/etc/cni/net.d"}},
		},
		{
			"2.x with the old key", `{"cni": {"binDir": "/opt/cni/bin", "binDirs": ["/usr/lib/cni", "/opt/cni/bin"]}}`,
			Dirs{[]string{"/usr/lib/cni", "/opt/cni/bin"}, nil},
		},
		{
			"directories of handlers", `{"cni": {"confDir": "/a"}, "containerd": {"runtimes": {"kata": {"cniConfDir": "/k"}, "gvisor": {"cniConfDir": "/g"}, "runc": {"cniConfDir": "/a"}}}}`,
			Dirs{nil, []string{"/a", "/g", "/k"}},
		},
		{"relative ones", `{"cni": {"binDirs": ["bin", "/b"], "confDir": "net.d"}}`, Dirs{[]string{"/b"}, nil}},
		{"CRI-O", `{"sandboxImage": "registry.k8s.io/pause:3.10"}`, Dirs{}},
		{"nothing", ``, Dirs{}},
		{"null", `null`, Dirs{}},
		{"another type", `{"cni": {"binDir": 1}}`, Dirs{}},
	} {
		if diff := cmp.Diff(tt.want, configured(tt.info)); diff != "" {
			t.Errorf("%s, %s (-want +got):\n%s", tt.name, tt.info, diff)
		}
	}
}

// What containerd 1.6 and 2.4 say of a network is in the same form.
func TestLoaded(t *testing.T) {
	const lo = `{"Config": {"Name": "cni-loopback", "CNIVersion": "0.3.1", "Plugins": [{"Network": {"type": "loopback", "ipam": {}}, "Source": "{}"}]}, "IFName": "lo"}`
	const pods = `{"Config": {"Name": "pods", "CNIVersion": "1.1.0", "Plugins": [{"Network": {"type": "bridge"}}, {"Network": {"type": "bpffs"}}]}, "IFName": "eth0"}`
	for _, tt := range []struct {
		name, info string
		want       []Network
	}{
		{"a network for pods", `{"PluginDirs": ["/b"], "Networks": [` + lo + `, ` + pods + `]}`, []Network{{"pods", "1.1.0", []string{"bridge", "bpffs"}}}},
		{"several", `{"Networks": [` + pods + `, {"Config": {"Name": "more"}, "IFName": "eth1"}]}`, []Network{{"pods", "1.1.0", []string{"bridge", "bpffs"}}, {Name: "more"}}},
		{"none yet", `{"Networks": [` + lo + `]}`, []Network{}},
		{"not said", ``, nil},
		{"no object", `[1]`, nil},
		{"null", `null`, []Network{}},
	} {
		if diff := cmp.Diff(tt.want, loaded(tt.info)); diff != "" {
			t.Errorf("%s, %s (-want +got):\n%s", tt.name, tt.info, diff)
		}
	}
}

// A crioServer answers as CRI-O does: gRPC and HTTP/1 at one socket, the
// configuration at /config as TOML (server/inspect.go and crio.conf(5) of CRI-O
// 1.3x), and Status without directories (server/runtime_status.go).
type crioServer struct {
	*testcri.Runtime

	config func(http.ResponseWriter, *http.Request)
}

func crioOf(name string, config func(http.ResponseWriter, *http.Request)) crioServer {
	info := map[string]string{"config": `{"sandboxImage": "registry.k8s.io/pause:3.10"}`}
	return crioServer{&testcri.Runtime{Name: name, Info: info}, config}
}

// listen returns the socket at which it answers until the test ends.
func (s crioServer) listen(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	testns.Must(t, err)
	service := grpc.NewServer()
	runtime.RegisterRuntimeServiceServer(service, s)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /config", s.config)
	server := http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 {
			service.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return socket
}

func says(text string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/toml")
		_, _ = w.Write([]byte(text))
	}
}

func TestCRIODirs(t *testing.T) {
	const before = "[crio]\n  root = \"/var/lib/containers/storage\"\n  [crio.runtime]\n    conmon = \"\"\n"
	const network = "  [crio.network]\n    cni_default_network = \"\"\n    network_dir = \"/etc/cni/net.d/\"\n    plugin_dirs = [\"/opt/cni/bin/\", \"/usr/libexec/cni\"]\n"
	both := Dirs{[]string{"/opt/cni/bin", "/usr/libexec/cni"}, []string{"/etc/cni/net.d"}}
	for _, tt := range []struct {
		name   string
		config func(http.ResponseWriter, *http.Request)
		want   Dirs
	}{
		{"as CRI-O prints it", says(before + network + "  [crio.metrics]\n    enable_metrics = false\n"), both},
		{"in other words", says("# a comment\n[crio.network]\nplugin_dirs = [\n  '/opt/cni/bin', # first\n  \"/usr/libexec/cni\",\n]\nnetwork_dir = '/etc/cni/net.d'"), both},
		{
			"OpenShift's", says("[crio.network]\nnetwork_dir = \"/etc/kubernetes/cni/net.d/\"\nplugin_dirs = [\"/var/lib/cni/bin\", \"/usr/libexec/cni\"]\n"),
			Dirs{[]string{"/var/lib/cni/bin", "/usr/libexec/cni"}, []string{"/etc/kubernetes/cni/net.d"}},
		},
		{"no network", says(before), Dirs{}},
		{"another table", says("[crio.image]\nnetwork_dir = \"/a\"\n"), Dirs{}},
		{"not TOML", says("<html>"), Dirs{}},
		{"another type", says("[crio.network]\nplugin_dirs = \"/a\"\n"), Dirs{}},
		{"an error", http.NotFound, Dirs{}},
		{"no end", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, Dirs{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Find(t.Context(), crioOf("cri-o", tt.config).listen(t), time.Second)
			testns.Must(t, err)
			got, err := r.Status(t.Context(), time.Second)
			if diff := cmp.Diff(Status{Ready: true, Dirs: tt.want}, got); diff != "" || err != nil {
				t.Errorf("Status: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// Only CRI-O is asked in this way.
func TestOthersAreNotAskedForAPath(t *testing.T) {
	asked := false
	r, err := Find(t.Context(), crioOf("containerd", func(http.ResponseWriter, *http.Request) { asked = true }).listen(t), time.Second)
	testns.Must(t, err)
	if got, err := r.Status(t.Context(), time.Second); err != nil || asked || !got.Ready {
		t.Errorf("Status of containerd: got %+v, %v, /config asked for: %v; want it ready, and not asked", got, err, asked)
	}
}

// An answer of more than 16 MiB is cut off, and then no directory is known.
func TestCRIOIsEndless(t *testing.T) {
	c, err := New(crioOf("cri-o", says(strings.Repeat("#", maxAnswer)+"\n[crio.network]\nnetwork_dir = \"/a\"\n")).listen(t))
	testns.Must(t, err)
	defer func() { _ = c.Close() }()
	if got, err := c.crioDirs(t.Context()); err != nil || got.Conf != nil {
		t.Errorf("crioDirs: got %+v, %v, want none", got, err)
	}
}

// FuzzDirs wants paths that mean the same to everybody, or none, of whatever a
// runtime says.
func FuzzDirs(f *testing.F) {
	f.Add([]byte(`{"cni": {"binDirs": ["/opt/cni/bin", "bin"], "binDir": "/usr/lib/cni", "confDir": "/etc/cni/net.d"}}`))
	f.Add([]byte("[crio.network]\nnetwork_dir = \"/etc/cni/net.d/\"\nplugin_dirs = [\"/opt/cni/bin\", \"\"]\n"))
	f.Add([]byte(`{"Networks": [{"IFName": "eth0", "Config": {"Name": "n", "Plugins": [{"Network": {"type": "bridge"}}]}}]}`))
	f.Fuzz(func(t *testing.T, said []byte) {
		_ = loaded(string(said))
		crio, err := crioConfigured(said)
		if err != nil && crio.Bin != nil {
			t.Errorf("of what is wrong: got %+v, want nothing", crio)
		}
		containerd := configured(string(said))
		for _, path := range slices.Concat(crio.Bin, crio.Conf, containerd.Bin, containerd.Conf) {
			if !filepath.IsAbs(path) || path != filepath.Clean(path) {
				t.Errorf("got the path %q, want a clean absolute one", path)
			}
		}
	})
}
