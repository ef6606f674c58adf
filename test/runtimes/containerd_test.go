package runtimes

import (
	"embed"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// The image that everything runs from, and where containerd listens and writes.
const (
	image  = "localhost/pod:test"
	socket = "/run/cd/socket"
	cdLog  = "/run/cd.log"
)

//go:embed config c
var files embed.FS

// A containerd is a running one.
type containerd struct {
	version string // 1.6 or 2.4
	config  *strings.Replacer
	cmd     *exec.Cmd
	conn    *grpc.ClientConn
	cri     cri.RuntimeServiceClient
}

// subject is what the table calls it.
func (c *containerd) subject() string { return "containerd " + c.version }

// path is where it and its tools are looked for.
func (c *containerd) path() string {
	const system = "/usr/sbin:/usr/bin:/sbin:/bin"
	if c.version == "1.6" {
		return system
	}
	return bins + "/runtimes/containerd:" + bins + "/runtimes/runc:" + system
}

// newContainerd starts a containerd that has the image, with these changes of its
// configuration: pairs of an old and a new text.
func newContainerd(t *testing.T, version string, changes ...string) *containerd {
	t.Helper()
	c := &containerd{version: version, config: strings.NewReplacer(changes...)}
	t.Setenv("PATH", c.path())
	c.start(t)
	t.Cleanup(func() {
		if log, err := os.ReadFile(cdLog); t.Failed() && err == nil {
			t.Logf("the last of containerd's log:\n%s", log[max(0, len(log)-8000):])
		}
	})
	t.Cleanup(func() { c.stop(t) })
	c.importImage(t, writeImage(t, image, map[string]string{"pod": bins + "/runtimes/own/pod"}))
	return c
}

// importImage gives it the image in an archive.
func (c *containerd) importImage(t *testing.T, archive string) {
	t.Helper()
	mustRun(t, "ctr", "-a", socket, "-n", "k8s.io", "images", "import", archive)
}

// start starts containerd and waits until it answers.
func (c *containerd) start(t *testing.T) {
	t.Helper()
	config, err := files.ReadFile("config/containerd-" + c.version + ".toml")
	testns.Must(t, err)
	write(t, "/run/cd/config.toml", c.config.Replace(string(config)))
	log, err := os.OpenFile(cdLog, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	testns.Must(t, err)
	defer log.Close()
	c.cmd = exec.Command("containerd", "-c", "/run/cd/config.toml")
	c.cmd.Stdout, c.cmd.Stderr = log, log
	testns.Must(t, c.cmd.Start())
	c.conn, err = grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	testns.Must(t, err)
	c.cri = cri.NewRuntimeServiceClient(c.conn)
	waitFor(t, "an answer of containerd", func() bool {
		_, err := c.cri.Version(t.Context(), &cri.VersionRequest{})
		return err == nil
	})
}

// stop stops containerd. Pods go on.
func (c *containerd) stop(t *testing.T) {
	t.Helper()
	if err := errors.Join(c.conn.Close(), c.cmd.Process.Signal(syscall.SIGTERM)); err != nil {
		t.Error(err)
	}
	_ = c.cmd.Wait() // its error only says that it was told to end
}

// network gives containerd a network and waits until it has taken it.
func (c *containerd) network(t *testing.T, conflist string) {
	t.Helper()
	replaceFile(t, confDir+"/"+networkFile, conflist)
	waitFor(t, "containerd to take the network", func() bool { return c.source(t) == conflist })
}

// source returns the configuration that containerd has.
func (c *containerd) source(t *testing.T) string {
	t.Helper()
	status, err := c.cri.Status(t.Context(), &cri.StatusRequest{Verbose: true})
	testns.Must(t, err)
	var has struct {
		Networks []struct{ Config struct{ Source string } }
	}
	testns.Must(t, json.Unmarshal([]byte(status.GetInfo()["cniconfig"]), &has))
	for _, n := range has.Networks {
		if strings.Contains(n.Config.Source, network) { // there is one for loopback, too
			return n.Config.Source
		}
	}
	return ""
}

// networkStatus returns whether the network is ready, and why not.
func (c *containerd) networkStatus(t *testing.T) (ready bool, message string) {
	t.Helper()
	status, err := c.cri.Status(t.Context(), &cri.StatusRequest{})
	testns.Must(t, err)
	for _, condition := range status.GetStatus().GetConditions() {
		if condition.GetType() == "NetworkReady" {
			return condition.GetStatus(), condition.GetReason() + ": " + condition.GetMessage()
		}
	}
	return false, "no condition NetworkReady"
}

// wantNetwork reports whether the network is not ready, or if there is a reason,
// not ready because of it.
func (c *containerd) wantNetwork(t *testing.T, reason string) {
	t.Helper()
	ready, message := c.networkStatus(t)
	if ready != (reason == "") || !strings.Contains(message, reason) {
		t.Errorf("the network is ready: got %t (%s), want %t because of %q", ready, message, reason == "", reason)
	}
}
