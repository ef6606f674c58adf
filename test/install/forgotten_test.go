package install

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/trace"
)

// A configuration that a killed uninstall took away said where the endpoints are. The
// next one finds them nevertheless, wherever the first was killed: in the network's
// list, in a drop-in file, and with a fallback.
func TestRootOfKilledUninstall(t *testing.T) {
	for name, mode := range map[string]string{"a list": "conflist", "a drop-in file": "drop-in", "a fallback": "conflist"} {
		t.Run(name, func(t *testing.T) {
			root := testns.BPFFS(t)
			n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
			key := "bpfRoot"
			if name == "a fallback" {
				key = "bpfFallback"
			}
			n.write("conf.json", `{"type": "bpffs", "`+key+`": "`+root+`"}`)
			n.succeed("install", "--mode", mode, "--plugin-conf", n.dir+"/conf.json")
			n.call("ADD", root)
			for stop := 1; ; stop++ {
				n.succeed("install", "--mode", mode, "--plugin-conf", n.dir+"/conf.json")
				at, killed, _, err := trace.Run(n.command("uninstall"), stop, trace.Changing, trace.Kill(unix.SIGKILL))
				testns.Must(t, err)
				if _, err := os.Stat(n.bin + "/bpffs"); err != nil {
					t.Fatalf("killed at %v: got %v, want the binary to be there, for a pod needs it", at, err)
				}
				says, code := n.run("uninstall")
				if code != 1 || !strings.Contains(says, "1 endpoint is recorded at "+root) {
					t.Fatalf("killed at %v, then uninstall: got exit code %d, %q, want 1 and the endpoint at %s", at, code, says, root)
				}
				n.calls("net", "bridge")
				if !killed {
					return
				}
			}
		})
	}
}
