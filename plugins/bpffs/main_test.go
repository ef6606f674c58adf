package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/version"
)

// The test binary is the plugin where this variable is set.
const actAsPlugin = "BPFFS_TEST_PLUGIN"

func TestMain(m *testing.M) {
	if os.Getenv(actAsPlugin) == "" {
		os.Exit(m.Run())
	}
	main()
}

// An outcome is what a runtime sees of a call.
type outcome struct {
	exit int
	code uint // of the error
	out  string
	err  string
}

// callPlugin runs the plugin with an environment and a standard input.
func callPlugin(t *testing.T, stdin string, env ...string) outcome {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(env, actAsPlugin+"=1")
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Run() //nolint:errcheck // the exit status is compared
	var e struct{ Code uint }
	if cmd.ProcessState.ExitCode() != 0 {
		if err := json.Unmarshal(stdout.Bytes(), &e); err != nil {
			t.Fatalf("%q and %q: %v: %s%s", stdin, env, err, stdout.String(), stderr.String())
		}
	}
	return outcome{cmd.ProcessState.ExitCode(), e.Code, stdout.String(), stderr.String()}
}

// What skel refuses names what it is about.
func TestRefusals(t *testing.T) {
	full := []string{"CNI_PATH=/bin", "CNI_CONTAINERID=c", "CNI_IFNAME=eth0", "CNI_NETNS=/none"}
	valid := `{"cniVersion": "1.1.0", "name": "net"}`
	for _, row := range []struct {
		name, stdin string
		env         []string
		wantCode    uint
		want        string
	}{
		{"unknown command", valid, append(full, "CNI_COMMAND=LIST"), 4, "LIST"},
		{"ADD without netns", valid, append(full, "CNI_COMMAND=ADD", "CNI_NETNS="), 4, "CNI_NETNS"},
		{"STATUS without path", valid, []string{"CNI_COMMAND=STATUS"}, 4, "CNI_PATH"},
		{"container ID with a slash", valid, append(full, "CNI_COMMAND=ADD", "CNI_CONTAINERID=a/b"), 4, `CNI_CONTAINERID=\"a/b\"`},
		{"interface of 16 bytes", valid, append(full, "CNI_COMMAND=ADD", "CNI_IFNAME=abcdefghijklmnop"), 4, `CNI_IFNAME=\"abcdefghijklmnop\"`},
		{"no JSON", "x", append(full, "CNI_COMMAND=ADD"), 6, "name: missing"},
		{"name with a slash", `{"cniVersion": "1.1.0", "name": "a/b"}`, append(full, "CNI_COMMAND=DEL"), 7, `name: \"a/b\"`},
		{"version 0.2.0", `{"cniVersion": "0.2.0", "name": "net"}`, append(full, "CNI_COMMAND=ADD"), 1, `cniVersion: \"0.2.0\"`},
		{"GC in 1.0.0", `{"cniVersion": "1.0.0", "name": "net"}`, append(full, "CNI_COMMAND=GC"), 1, `cniVersion: \"1.0.0\"`},
		{"own namespace", valid, append(full, "CNI_COMMAND=ADD", "CNI_NETNS=/proc/thread-self/ns/net"), 8, "/proc/thread-self/ns/net"},
		{"interface that is not UTF-8", valid, append(full, "CNI_COMMAND=ADD", "CNI_IFNAME=\xffx"), 4, "UTF-8"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := callPlugin(t, row.stdin, row.env...)
			if got.code != row.wantCode || got.exit != 1 || !strings.Contains(got.out, row.want) {
				t.Errorf("got exit status %d and %s, want code %d and %s", got.exit, got.out, row.wantCode, row.want)
			}
		})
	}
}

// An error is in the version of the configuration, or in the newest if that is
// not supported.
func TestVersionOfErrors(t *testing.T) {
	for _, row := range []struct{ stdin, want string }{
		{`{"cniVersion": "0.4.0", "name": "a/b"}`, "0.4.0"},
		{`{"cniVersion": "0.2.0", "name": "net"}`, "1.1.0"},
		{`{"cniVersion": "9.9.9", "name": "net"}`, "1.1.0"},
		{`x`, "1.1.0"},
	} {
		got := callPlugin(t, row.stdin, "CNI_COMMAND=ADD", "CNI_PATH=/bin", "CNI_CONTAINERID=c", "CNI_IFNAME=eth0", "CNI_NETNS=/none")
		if want := `"cniVersion":"` + row.want + `"`; !strings.Contains(got.out, want) {
			t.Errorf("error about %s: got %s, want %s in it", row.stdin, got.out, want)
		}
	}
}

func TestVersion(t *testing.T) {
	got := callPlugin(t, "", "CNI_COMMAND=VERSION")
	info, err := (&version.PluginDecoder{}).Decode([]byte(got.out))
	if got.exit != 0 || err != nil || !slices.Equal(info.SupportedVersions(), supported().SupportedVersions()) {
		t.Errorf("VERSION: got exit status %d and %q, %v, want the versions that are supported", got.exit, got.out, err)
	}
}

func TestByHand(t *testing.T) {
	got := callPlugin(t, "")
	if got.exit != 0 || got.out != "" || !strings.Contains(got.err, "bpffs "+buildVersion) {
		t.Errorf("run by hand it exits with %d and prints %q and %q, want its version on stderr", got.exit, got.out, got.err)
	}
}
