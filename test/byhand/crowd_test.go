package byhand

import (
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// roleRun makes a process of a crowd the plugin, with the environment and the
// configuration that it was given.
const (
	roleRun   = "run"
	configEnv = "BPFFS_TEST_CONFIG"
)

func runRole() {
	testns.Await()
	config, err := os.Open(os.Getenv(configEnv))
	if err == nil {
		err = syscall.Dup3(int(config.Fd()), 0, 0)
	}
	if err == nil {
		err = syscall.Exec(plugin, []string{plugin}, os.Environ())
	}
	os.Stderr.WriteString(err.Error())
	os.Exit(1)
}

func TestManyAddsAtOnceOnAnEmptyNode(t *testing.T) {
	const n = 64
	emptyNode(t)
	config := writeJSON(t, newConfig())
	members := testns.Crowd(t, n, roleRun, func(i int) []string {
		return []string{
			configEnv + "=" + config, "CNI_COMMAND=ADD", "CNI_PATH=" + binDir,
			"CNI_NETNS=/run/netns/none", "CNI_CONTAINERID=c" + strconv.Itoa(i), "CNI_IFNAME=eth0",
		}
	})
	owner := make(map[uint16]int)
	for i, m := range members {
		if m.Err != nil {
			t.Errorf("ADD %d: %v: %s%s", i, m.Err, m.Stdout, m.Stderr)
			continue
		}
		id := localMaps(t, answer{stdout: m.Stdout})[0].EndpointID
		if other, taken := owner[id]; taken {
			t.Errorf("ADD %d and %d both got the ID %d", other, i, id)
		}
		owner[id] = i
	}
	if got := bpfMounts(t); got != 1 {
		t.Errorf("%d processes mounted %d bpffs, want 1", n, got)
	}
	if got, err := os.ReadDir(root + "/cni/endpoints"); len(got) != n {
		t.Errorf("%d records after %d ADDs (%v)", len(got), n, err)
	}
}
