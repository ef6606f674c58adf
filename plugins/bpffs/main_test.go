package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/skel"
)

// The test binary is one of these plugins when this variable says so.
const (
	actAs  = "BPFFS_TEST_ACT_AS"
	ours   = "ours"
	theirs = "skel"
)

func TestMain(m *testing.M) {
	switch os.Getenv(actAs) {
	case ours:
		main()
	case theirs:
		nothing := func(*skel.CmdArgs) error { return nil }
		skel.PluginMainFuncs(skel.CNIFuncs{Add: nothing, Check: nothing, Del: nothing, GC: nothing, Status: nothing},
			supported(), "skel")
	default:
		os.Exit(m.Run())
	}
}

// An outcome is what a runtime sees of a call.
type outcome struct {
	exit int
	code uint // of the error
	out  string
	err  string
}

// callAs runs a plugin with an environment and a standard input.
func callAs(t *testing.T, plugin, stdin string, env ...string) outcome {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(env, actAs+"="+plugin)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Run() //nolint:errcheck // the exit status is compared
	var e struct{ Code uint }
	if cmd.ProcessState.ExitCode() != 0 {
		if err := json.Unmarshal(stdout.Bytes(), &e); err != nil {
			t.Fatalf("%s with %q and %q: %v: %s%s", plugin, stdin, env, err, stdout.String(), stderr.String())
		}
	}
	return outcome{cmd.ProcessState.ExitCode(), e.Code, stdout.String(), stderr.String()}
}

// TestProtocol holds the protocol against skel, for calls that do not get as far
// as a verb.
func TestProtocol(t *testing.T) {
	full := []string{"CNI_PATH=/bin", "CNI_CONTAINERID=c", "CNI_IFNAME=eth0", "CNI_NETNS=/none"}
	valid := `{"cniVersion": "1.1.0", "name": "net"}`
	for _, row := range []struct {
		name, stdin string
		env         []string
		wantCode    uint
	}{
		{"unknown command", valid, append(full, "CNI_COMMAND=LIST"), 4},
		{"ADD without anything", valid, []string{"CNI_COMMAND=ADD"}, 4},
		{"ADD without netns", valid, append(full, "CNI_COMMAND=ADD", "CNI_NETNS="), 4},
		{"CHECK without netns", valid, append(full, "CNI_COMMAND=CHECK", "CNI_NETNS="), 4},
		{"DEL without container", valid, append(full, "CNI_COMMAND=DEL", "CNI_CONTAINERID="), 4},
		{"DEL without interface", valid, append(full, "CNI_COMMAND=DEL", "CNI_IFNAME="), 4},
		{"GC without path", valid, []string{"CNI_COMMAND=GC"}, 4},
		{"STATUS without path", valid, []string{"CNI_COMMAND=STATUS"}, 4},
		{"container ID with a slash", valid, append(full, "CNI_COMMAND=ADD", "CNI_CONTAINERID=a/b"), 4},
		{"container ID beginning with a dot", valid, append(full, "CNI_COMMAND=DEL", "CNI_CONTAINERID=.a"), 4},
		{"interface of 16 bytes", valid, append(full, "CNI_COMMAND=ADD", "CNI_IFNAME=abcdefghijklmnop"), 4},
		{"interface with a colon", valid, append(full, "CNI_COMMAND=ADD", "CNI_IFNAME=a:b"), 4},
		{"interface with a space", valid, append(full, "CNI_COMMAND=ADD", "CNI_IFNAME=a b"), 4},
		{"interface ..", valid, append(full, "CNI_COMMAND=ADD", "CNI_IFNAME=.."), 4},
		{"no JSON", "x", append(full, "CNI_COMMAND=ADD"), 6},
		{"empty input", "", append(full, "CNI_COMMAND=DEL"), 6},
		{"no name", `{"cniVersion": "1.1.0"}`, append(full, "CNI_COMMAND=ADD"), 7},
		{"name with a slash", `{"cniVersion": "1.1.0", "name": "a/b"}`, append(full, "CNI_COMMAND=DEL"), 7},
		{"no version", `{"name": "net"}`, append(full, "CNI_COMMAND=ADD"), 1},
		{"version 0.2.0", `{"cniVersion": "0.2.0", "name": "net"}`, append(full, "CNI_COMMAND=ADD"), 1},
		{"version 9.9.9", `{"cniVersion": "9.9.9", "name": "net"}`, append(full, "CNI_COMMAND=DEL"), 1},
		{"CHECK in 0.3.1", `{"cniVersion": "0.3.1", "name": "net"}`, append(full, "CNI_COMMAND=CHECK"), 1},
		{"GC in 1.0.0", `{"cniVersion": "1.0.0", "name": "net"}`, append(full, "CNI_COMMAND=GC"), 1},
		{"STATUS in 1.0.0", `{"cniVersion": "1.0.0", "name": "net"}`, append(full, "CNI_COMMAND=STATUS"), 1},
		{"own namespace", valid, append(full, "CNI_COMMAND=ADD", "CNI_NETNS=/proc/thread-self/ns/net"), 8},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, skel := callAs(t, ours, row.stdin, row.env...), callAs(t, theirs, row.stdin, row.env...)
			if got.code != row.wantCode || got.exit != 1 || skel.code != got.code || skel.exit != got.exit {
				t.Errorf("got exit status %d and %s, skel %d and %s, want code %d", got.exit, got.out, skel.exit, skel.out, row.wantCode)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	got, skel := callAs(t, ours, "", "CNI_COMMAND=VERSION"), callAs(t, theirs, "", "CNI_COMMAND=VERSION")
	if got.exit != 0 || got.out != skel.out {
		t.Errorf("got %q, skel %q", got.out, skel.out)
	}
}

func TestByHand(t *testing.T) {
	got := callAs(t, ours, "")
	if got.exit != 0 || got.out != "" || !strings.Contains(got.err, "bpffs "+buildVersion) {
		t.Errorf("run by hand it exits with %d and prints %q and %q, want its version on stderr", got.exit, got.out, got.err)
	}
}
