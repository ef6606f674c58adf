package runtimes

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// clusterVar is not empty where there are the programs of bin/cluster to be tried. They
// take minutes to build, so the others do not wait for them.
const clusterVar = "BPFFS_CLUSTER"

// Where the programs of a cluster have their files, for all nodes. It has one user, who
// may do everything.
const (
	clusterDir    = "/run/cluster"
	clusterImages = clusterDir + "/images"
	accountKey    = clusterDir + "/account.key"
	apiCert       = clusterDir + "/pki/apiserver.crt" // signed by itself
	adminConfig   = clusterDir + "/kubeconfig"
	apiURL        = "https://" + nodeIP + ":6443"
	adminToken    = "admin"
)

// clusterTime is enough for what takes seconds, however slow the machine is.
const clusterTime = 5 * time.Minute

func needCluster(t *testing.T) {
	t.Helper()
	if os.Getenv(clusterVar) == "" {
		t.Skip("no " + clusterVar + ": run make test-cluster")
	}
}

// startAPIServer starts a database and an API server, with more arguments if there are
// any, and waits until it answers.
func startAPIServer(t *testing.T, args ...string) {
	t.Helper()
	nodeAddress(t)
	write(t, clusterDir+"/tokens.csv", adminToken+",admin,admin,system:masters\n")
	write(t, accountKey, privateKey(t))
	write(t, adminConfig, config(t, "kubeconfig.yaml"))
	daemon(t, "etcd", "--data-dir="+clusterDir+"/etcd", "--log-level=warn")
	daemon(t, "kube-apiserver", append([]string{
		"--etcd-servers=http://127.0.0.1:2379", "--advertise-address=" + nodeIP, "--cert-dir=" + filepath.Dir(apiCert),
		"--token-auth-file=" + clusterDir + "/tokens.csv", "--authorization-mode=Node,RBAC", "--allow-privileged",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + accountKey,
		"--service-account-signing-key-file=" + accountKey, "--service-cluster-ip-range=10.96.0.0/24",
		"--kubelet-preferred-address-types=InternalIP",
	}, args...)...)
	waitWithin(t, clusterTime, "the API server", func() bool {
		return kubectl(t, nil, "get", "--raw", "/readyz").Status == 0 && kubectl(t, nil, "get", "namespace", "kube-system").Status == 0
	})
}

// startControllers starts what works on the objects of an API server that is there.
func startControllers(t *testing.T) {
	t.Helper()
	alone := []string{"--kubeconfig=" + adminConfig, "--leader-elect=false", "--bind-address=127.0.0.1"}
	daemon(t, "kube-scheduler", alone...)
	daemon(t, "kube-controller-manager", append(alone,
		"--service-account-private-key-file="+accountKey, "--root-ca-file="+apiCert)...)
}

// privateKey returns a new one.
func privateKey(t *testing.T) string {
	t.Helper()
	const bits = 2048
	key, err := rsa.GenerateKey(rand.Reader, bits)
	testns.Must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

// nodeAddress gives the node the address at which others reach it.
func nodeAddress(t *testing.T) {
	t.Helper()
	mustRun(t, "ip", "link", "add", "node0", "up", "type", "bridge")
	mustRun(t, "ip", "address", "add", nodeIP+"/24", "dev", "node0")
}

// daemon starts one of the cluster's programs, and returns what stops it; the end of
// the test does, too, and shows the end of its log if the test has failed.
func daemon(t *testing.T, name string, args ...string) (stop func()) {
	t.Helper()
	file := daemonLog(name)
	log, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	testns.Must(t, err)
	defer log.Close()
	cmd := exec.Command(filepath.Join(bins, "cluster", name), args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: run make test-cluster", err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // it may say that it was told to end
	})
	t.Cleanup(func() {
		stop()
		if all, err := os.ReadFile(file); t.Failed() && err == nil {
			t.Logf("the last of the log of %s:\n%s", name, all[max(0, len(all)-16000):])
		}
	})
	return stop
}

// daemonLog returns the file with the log of one of the cluster's programs.
func daemonLog(name string) string { return "/run/" + name + ".log" }
