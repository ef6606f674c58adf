package byhand

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// recorderName is the name under which the test binary is a CNI plugin, the last
// in a chain, that writes down what reaches it.
const recorderName = "bpffs-test-recorder"

// record writes the standard input of each verb to the directory that the
// configuration names, and passes prevResult on. With "fail" it fails on ADD.
func record() {
	var conf struct {
		Dir        string          `json:"dir"`
		Fail       bool            `json:"fail"`
		PrevResult json.RawMessage `json:"prevResult"`
	}
	verb := os.Getenv("CNI_COMMAND")
	if verb == "VERSION" {
		os.Stdout.WriteString(`{"cniVersion":"1.1.0","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}`)
		return
	}
	stdin, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = json.Unmarshal(stdin, &conf)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(conf.Dir, verb), stdin, 0o600)
	}
	if err == nil && conf.Fail && verb == "ADD" {
		os.Stdout.WriteString(`{"cniVersion":"1.0.0","code":150,"msg":"asked to fail"}`)
		os.Exit(1)
	}
	if err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	if verb == "ADD" {
		os.Stdout.Write(conf.PrevResult)
	}
}

// installRecorder returns a CNI_PATH with the recorder in it, and the plugin's
// configuration, which lets it write to the directory dir.
func installRecorder(t testing.TB, dir string) (path string, conf keys) {
	t.Helper()
	own := t.TempDir()
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, filepath.Join(own, recorderName))
	}
	if err != nil {
		t.Fatal(err)
	}
	return own + ":" + binDir + "/cni:" + binDir, keys{"type": recorderName, "dir": dir}
}

// recorded returns the local paths that the recorder saw with the verb.
func recorded(t testing.TB, dir, verb string) []string {
	t.Helper()
	stdin, err := os.ReadFile(filepath.Join(dir, verb))
	if err != nil {
		t.Fatal(err)
	}
	var conf struct {
		PrevResult json.RawMessage `json:"prevResult"`
	}
	if err := json.Unmarshal(stdin, &conf); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, m := range localMaps(t, answer{stdout: string(conf.PrevResult)}) {
		paths = append(paths, m.Path)
	}
	return paths
}

// writeJSON writes v to a file of the test and returns its path.
func writeJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
