package pods

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Where things are on the node. /run and /var/lib are its own.
const (
	Network  = "pktcount" // its name in the configuration
	Bridge   = "cni-pktcount0"
	Gateway  = "10.244.78.1"
	binDir   = "/run/node/bin/cni"
	confDir  = "/run/node/net.d"
	netnsDir = "/run/netns"
)

// A Node runs the plugins of the source tree in the namespaces of this process.
type Node struct {
	env []string // of the commands that run on it
}

// NewNode turns the namespaces that this process is in into a node without a
// bpffs, with what is in bin/cni and the configuration of examples/pktcount of
// the source tree top. The error is [fs.ErrNotExist] if pktcount is not built.
func NewNode(top string) (*Node, error) {
	conflist, err := os.ReadFile(filepath.Join(top, "examples/pktcount/pktcount.conflist"))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(top, "bin/cni/pktcount")); err != nil {
		return nil, err
	}
	// The tree may lie below what the mounts hide.
	bin, err := os.OpenFile(filepath.Join(top, "bin"), unix.O_PATH, 0)
	if err != nil {
		return nil, err
	}
	defer bin.Close()
	if err := mountAll(bin); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(confDir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(confDir, "10-pktcount.conflist"), conflist, 0o600); err != nil {
		return nil, err
	}
	return &Node{env: []string{
		"PATH=" + binDir + ":/usr/sbin:/usr/bin:/sbin:/bin",
		"LC_ALL=C",
		"CNI_PATH=" + binDir,
		"NETCONFPATH=" + confDir,
	}}, silence()
}

// mountAll hides what the host has where plugins and libcni write.
func mountAll(bin *os.File) error {
	for _, m := range []struct{ fsType, target string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/run"}, {"tmpfs", "/var/lib"},
	} {
		if err := unix.Mount(m.fsType, m.target, m.fsType, 0, ""); err != nil {
			return &os.PathError{Op: "mount", Path: m.target, Err: err}
		}
	}
	if err := os.MkdirAll(filepath.Dir(binDir), 0o755); err != nil {
		return err
	}
	source := fmt.Sprintf("/proc/self/fd/%d", bin.Fd())
	if err := unix.Mount(source, filepath.Dir(binDir), "", unix.MS_BIND, ""); err != nil {
		return &os.PathError{Op: "bind", Path: filepath.Dir(binDir), Err: err}
	}
	return nil
}

// silence keeps the network namespace that the thread is in, and devices that it
// will get, from sending packets of their own accord. Without IPv6 there are no
// router solicitations and no multicast reports. Of IGMP, which a bridge speaks
// to find other bridges that snoop on it, only the first report remains.
func silence() error {
	for file, value := range map[string]string{
		"ipv6/conf/all/disable_ipv6":                           "1",
		"ipv6/conf/default/disable_ipv6":                       "1",
		"ipv4/igmp_qrv":                                        "1",
		"ipv4/conf/default/igmpv2_unsolicited_report_interval": "3600000",
		"ipv4/conf/default/igmpv3_unsolicited_report_interval": "3600000",
	} {
		err := os.WriteFile("/proc/sys/net/"+file, []byte(value), 0)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// remember keeps the interface from asking again for addresses it has learned.
func remember(ifName string) error {
	dir := "/proc/sys/net/ipv4/neigh/" + ifName
	return errors.Join(
		os.WriteFile(dir+"/base_reachable_time_ms", []byte("3600000"), 0),
		os.WriteFile(dir+"/delay_first_probe_time", []byte("3600"), 0))
}

// Run runs one of the binaries in bin/cni with more variables in its environment,
// and returns what it prints to standard output. An error has all it prints.
func (n *Node) Run(env []string, stdin []byte, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(filepath.Join(binDir, name), args...)
	cmd.Env = slices.Concat(n.env, env)
	cmd.Stdin = bytes.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %q: %w: %s%s", name, args, err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes(), nil
}
