package reliability

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
	"github.com/cni-bpffs/cni-bpffs/test/internal/trace"
)

const mebibyte = 1 << 20

// repeat joins n elements to a JSON array.
func repeat(n int, element func(i int) string) json.RawMessage {
	all := make([]string, n)
	for i := range all {
		all[i] = element(i)
	}
	return json.RawMessage("[" + strings.Join(all, ",") + "]")
}

// peak returns the most memory, in bytes, that a call ever had, as the kernel tells
// it when the process is about to end. An error of CNI is an answer, too.
func peak(t *testing.T, verb, conf string) (bytes int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stdin")
	testns.Must(t, os.WriteFile(file, []byte(conf), 0o600))
	stdin, err := os.Open(file)
	testns.Must(t, err)
	cmd := plugin().Command(verb, conf, "CNI_NETNS=/run/netns/none")
	cmd.Stdin = stdin
	ends := func(nr uint64) bool { return nr == unix.SYS_EXIT_GROUP }
	_, _, _, err = trace.Run(cmd, 1, ends, func(pid int) error {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return err
		}
		_, rest, _ := strings.Cut(string(status), "VmHWM:")
		kibibytes, err := strconv.Atoi(strings.Fields(rest)[0])
		bytes = kibibytes << 10
		return err
	})
	testns.Must(t, err)
	return bytes
}

// TestCostFollowsTheInput: a call takes at most ten times the size of its input in
// memory, above what an empty one takes, where that is 1 MiB and more.
func TestCostFollowsTheInput(t *testing.T) {
	const limit = 10
	valid := func(size int) plugintest.Keys {
		return plugintest.Keys{"cni.dev/valid-attachments": repeat(size/100, func(i int) string {
			return fmt.Sprintf(`{"containerID":"%064x","ifname":"eth0"}`, i)
		})}
	}
	short := func(size int) plugintest.Keys {
		return plugintest.Keys{"cni.dev/valid-attachments": repeat(size/35, func(i int) string {
			return fmt.Sprintf(`{"containerID":"a%d","ifname":"b"}`, i)
		})}
	}
	for _, tt := range []struct {
		name, verb string
		size       int
		keys       func(size int) plugintest.Keys
	}{
		{"a list for GC", "GC", mebibyte, valid},
		{"a long list for GC", "GC", 8 * mebibyte, valid},
		{"a list for GC of short names", "GC", 4 * mebibyte, short},
		{"a list for GC that another verb gets", "STATUS", 4 * mebibyte, valid},
		{"a list of numbers", "GC", 4 * mebibyte, func(size int) plugintest.Keys {
			return plugintest.Keys{"cni.dev/valid-attachments": repeat(size/2, func(int) string { return "0" })}
		}},
		{"maps that are numbers", "ADD", 4 * mebibyte, func(size int) plugintest.Keys {
			return plugintest.Keys{"maps": repeat(size/2, func(int) string { return "0" })}
		}},
		{"a list of a runtime that is none of ours", "DEL", 4 * mebibyte, func(size int) plugintest.Keys {
			return plugintest.Keys{"cni.dev/attachments": repeat(size/2, func(int) string { return "0" })}
		}},
		{"unknown keys", "DEL", 4 * mebibyte, func(size int) plugintest.Keys {
			keys := plugintest.Keys{}
			for i := range size / 11 {
				keys[fmt.Sprint("a", i)] = 0
			}
			return keys
		}},
		{"one long value", "ADD", 4 * mebibyte, func(size int) plugintest.Keys {
			return plugintest.Keys{"args": strings.Repeat("x", size)}
		}},
		{"interfaces without anything in prevResult", "DEL", 4 * mebibyte, func(size int) plugintest.Keys {
			return plugintest.Keys{"prevResult": plugintest.Keys{"interfaces": repeat(size/3, func(int) string { return "{}" })}}
		}},
		{"paths in as many directories in prevResult", "DEL", mebibyte, func(size int) plugintest.Keys {
			return plugintest.Keys{"prevResult": plugintest.Keys{"interfaces": repeat(size/30, func(i int) string {
				return fmt.Sprintf(`{"name":"/a%d/m_00042"}`, i)
			})}}
		}},
		{"paths of others in prevResult", "ADD", mebibyte, func(size int) plugintest.Keys {
			return plugintest.Keys{"prevResult": plugintest.Keys{"interfaces": repeat(size/50, func(i int) string {
				return fmt.Sprintf(`{"name":"/sys/fs/bpf/tc/globals/m%06d_00042"}`, i)
			})}}
		}},
		{"maps with a type", "ADD", 3 * mebibyte / 2, func(size int) plugintest.Keys {
			return plugintest.Keys{"maps": repeat(size/75, typedMap)}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := plugintest.Keys{"bpfRoot": newRoot(t), "maps": nil}
			empty := peak(t, tt.verb, plugintest.Conf(root, plugintest.Keys{"cni.dev/valid-attachments": []string{}}))
			conf := plugintest.Conf(root, tt.keys(tt.size))
			above := peak(t, tt.verb, conf) - empty
			t.Logf("%.1f MiB for an input of %.1f MiB: %.1f times", float64(above)/mebibyte, float64(len(conf))/mebibyte, float64(above)/float64(len(conf)))
			if above > limit*len(conf) {
				t.Errorf("peak above an empty call: got %d bytes for an input of %d, want at most %d times that", above, len(conf), limit)
			}
		})
	}
}

func namedMap(i int) string { return fmt.Sprintf(`{"name":"m%05d_"}`, i) }

func typedMap(i int) string {
	return fmt.Sprintf(`{"name":"m%05d_","type":"array","keySize":4,"valueSize":4,"maxEntries":1}`, i)
}

// TestCostFollowsTheMaps: four times as many maps take four times as long, not
// sixteen times, in every verb that meets them. Processor time counts, so that
// others on the machine do not.
func TestCostFollowsTheMaps(t *testing.T) {
	const few, many, limit = 10_000, 40_000, 10
	for name, element := range map[string]func(int) string{"names": namedMap, "with a type": typedMap} {
		t.Run(name, func(t *testing.T) {
			short, long := life(t, few, element), life(t, many, element)
			for verb, took := range short {
				t.Logf("%s: %v for %d maps, %v for %d", verb, took, few, long[verb], many)
				if got := long[verb].Seconds() / took.Seconds(); got > limit {
					t.Errorf("time of %s for %d maps over that for %d: got %.1f, want at most %d", verb, many, few, got, limit)
				}
			}
		})
	}
}

// TestCostFollowsThePaths: DEL looks at each directory that prevResult names once.
// Four times as many take four times as long.
func TestCostFollowsThePaths(t *testing.T) {
	const few, many, limit = 10_000, 40_000, 10
	for name, element := range map[string]func(i int) string{
		"in as many directories":    func(i int) string { return fmt.Sprintf(`{"name":"/a%d/m_00042"}`, i) },
		"in as many below the root": func(i int) string { return fmt.Sprintf(`{"name":"/sys/fs/bpf/a%d/m_00042"}`, i) },
		"in one directory":          func(i int) string { return fmt.Sprintf(`{"name":"/a/m%d_00042"}`, i) },
	} {
		t.Run(name, func(t *testing.T) {
			took := func(n int) time.Duration {
				conf := plugintest.Conf(plugintest.Keys{"prevResult": plugintest.Keys{"interfaces": repeat(n, element)}})
				cmd := plugin().Command("DEL", conf, "CNI_NETNS=/run/netns/none")
				a, err := plugintest.Run(cmd)
				testns.Must(t, err)
				if a.Status != 0 {
					t.Fatalf("DEL with %d paths: got %.1000q, want success", n, fmt.Sprint(a))
				}
				return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			}
			short, long := took(few), took(many)
			t.Logf("%v for %d paths, %v for %d", short, few, long, many)
			if got := long.Seconds() / short.Seconds(); got > limit {
				t.Errorf("time of DEL for %d paths over that for %d: got %.1f, want at most %d", many, few, got, limit)
			}
		})
	}
}

// life plays the life of an attachment with n maps, and returns what each call took.
func life(t *testing.T, n int, element func(int) string) map[string]time.Duration {
	t.Helper()
	keys := plugintest.Keys{"bpfRoot": newRoot(t), "maps": repeat(n, element)}
	took := make(map[string]time.Duration)
	do := func(name, verb string) string {
		cmd := plugin().Command(verb, plugintest.Conf(keys), "CNI_NETNS=/run/netns/none")
		a, err := plugintest.Run(cmd)
		testns.Must(t, err)
		if a.Status != 0 {
			t.Fatalf("%s with %d maps: got %.1000q, want success", name, n, fmt.Sprint(a))
		}
		took[name] = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		return a.Stdout
	}
	result := do("ADD", "ADD")
	keys["prevResult"] = json.RawMessage(result)
	if again := do("ADD again", "ADD"); again != result {
		t.Errorf("ADD again with %d maps: got another result than before", n)
	}
	do("CHECK", "CHECK")
	do("STATUS", "STATUS")
	do("DEL", "DEL")
	return took
}
