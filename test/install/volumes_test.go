package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// withVolume installs the plugin and starts a pod that sees its map in a volume, below
// the returned directory.
func (n *node) withVolume(root string) (volume string) {
	n.Helper()
	kubelet := n.TempDir()
	testns.Mount(n, "tmpfs", kubelet, "mode=0755")
	volume = filepath.Join(kubelet, "pods/0a1b/volumes/kubernetes.io~empty-dir/bpffs")
	testns.Must(n, os.MkdirAll(volume, 0o755))
	n.succeed("install")
	p := plugintest.Plugin{Argv: []string{n.bin + "/bpffs"}, Env: []string{"CNI_ARGS=K8S_POD_UID=0a1b"}}
	p.Succeed(n, "ADD", plugintest.Conf(plugintest.Keys{
		"bpfRoot": root, "podVolume": "bpffs", "kubeletDir": kubelet,
		"maps": []plugintest.Keys{{"name": "stats_", "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1, "pod": "rw"}},
	}))
	return volume
}

// What stays mounted in a pod's volume is said when the plugin goes, with the command
// that unmounts it. A mount alone does not keep the plugin.
func TestUninstallWithVolumes(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(t *testing.T, root, volume string)
		args   []string
		code   int
		says   bool
		binary bool // stays
	}{
		{"recorded", func(*testing.T, string, string) {}, nil, 1, false, true},
		{"recorded, by force", func(*testing.T, string, string) {}, []string{"--force"}, 0, true, false},
		{"the records are lost", forget, nil, 0, true, false},
		{"the records are lost, by force", forget, []string{"--force"}, 0, true, false},
		{"lost and unmounted", func(t *testing.T, root, volume string) {
			t.Helper()
			forget(t, root, volume)
			testns.Must(t, syscall.Unmount(volume+"/eth0/maps-rw", 0))
		}, nil, 0, false, false},
		{"the configuration only", forget, []string{"--keep-binary"}, 0, false, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			root := testns.BPFFS(t)
			n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
			volume := n.withVolume(root)
			row.change(t, root, volume)
			says, code := n.run("uninstall", row.args...)
			command := regexp.MustCompile("umount '.*/eth0/maps-rw'\n").FindString(says)
			if code != row.code || (command != "") != row.says {
				t.Errorf("got exit code %d, %q, want %d and what unmounts it: %v", code, says, row.code, row.says)
			}
			if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil || row.says && syscall.Unmount(volume+"/eth0/maps-rw", 0) == nil {
				t.Errorf("%s: got %v: %s, want that nothing is mounted any more", command, err, out)
			}
			if _, ok := n.tree()["bin/bpffs"]; ok != row.binary {
				t.Errorf("the binary is there: %v, want %v", ok, row.binary)
			}
		})
	}
}

// forget removes the records as a node loses them.
func forget(t *testing.T, root, _ string) {
	t.Helper()
	testns.Must(t, os.RemoveAll(root+"/cni/endpoints"))
}
