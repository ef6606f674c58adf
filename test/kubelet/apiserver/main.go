// Command apiserver says what an API server of Kubernetes would say of manifests:
// it reads them from standard input as one multi-document YAML, decodes them
// strictly, sets the defaults and creates each object with the server's own
// strategy, but into no database. A pod must pass the ValidatingAdmissionPolicies
// before it in the input. A pod that is there already is updated, as "kubectl
// apply" and, if it gets ephemeral containers, "kubectl debug" do it. Objects of
// other API groups it refuses.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/admissionregistration"
	_ "k8s.io/kubernetes/pkg/apis/admissionregistration/install"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/capabilities"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicy"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicybinding"
	"k8s.io/kubernetes/pkg/registry/apps/daemonset"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/pkg/registry/core/serviceaccount"
)

func main() {
	klog.SetLogger(logr.Discard()) // the informers of the policies are talkative
	capabilities.Setup(true, 0)    // as --allow-privileged does it
	n, err := createAll(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(n, "objects would be created")
}

// createAll returns the number of objects, and everything that is wrong with them.
func createAll(r io.Reader) (n int, err error) {
	codecs := serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict)
	s := server{pods: make(map[string]*core.Pod)}
	var faults []error
	for documents := yaml.NewYAMLReader(bufio.NewReader(r)); ; n++ {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return n, errors.Join(faults...)
		}
		if err != nil {
			return n, err
		}
		o, err := runtime.Decode(codecs.UniversalDecoder(), text)
		if err == nil {
			err = s.apply(o)
		}
		if err != nil {
			faults = append(faults, err)
		}
	}
}

// A server has what pods are judged by.
type server struct {
	policies []runtime.Object // and their bindings
	admit    *admitter        // nil: not yet made for these policies
	pods     map[string]*core.Pod
}

// apply does with an object what comes before it is stored.
func (s *server) apply(o runtime.Object) error {
	if p, is := o.(*core.Pod); is {
		return s.applyPod(p)
	}
	if err := create(o); err != nil {
		return err
	}
	switch o := o.(type) {
	case *admissionregistration.ValidatingAdmissionPolicy:
		s.enforce(o)
		return checkTypes(o)
	case *admissionregistration.ValidatingAdmissionPolicyBinding:
		s.enforce(o)
	}
	return nil
}

func (s *server) enforce(policy runtime.Object) {
	s.policies, s.admit = append(s.policies, policy), nil
}

// create runs the strategy. A warning is an error.
func create(o runtime.Object) error {
	object, err := meta.Accessor(o)
	if err != nil {
		return err
	}
	strategy, err := strategyFor(o)
	if err != nil {
		return err
	}
	rest.FillObjectMetaSystemFields(object)
	ctx := request.WithNamespace(context.Background(), object.GetNamespace())
	if err := rest.BeforeCreate(strategy, ctx, o); err != nil {
		return err
	}
	var warnings []error
	for _, w := range strategy.WarningsOnCreate(ctx, o) {
		warnings = append(warnings, fmt.Errorf("warning of %s: %s", object.GetName(), w))
	}
	return errors.Join(warnings...)
}

func strategyFor(o runtime.Object) (rest.RESTCreateStrategy, error) {
	switch o.(type) {
	case *apps.DaemonSet:
		return daemonset.Strategy, nil
	case *core.ConfigMap:
		return configmap.Strategy, nil
	case *core.ServiceAccount:
		return serviceaccount.Strategy, nil
	case *core.Pod:
		return pod.Strategy, nil
	case *admissionregistration.ValidatingAdmissionPolicy:
		return validatingadmissionpolicy.NewStrategy(nil, nil), nil
	case *admissionregistration.ValidatingAdmissionPolicyBinding:
		return validatingadmissionpolicybinding.NewStrategy(nil, nil, nil), nil
	}
	return nil, fmt.Errorf("a %T, which this command does not know", o)
}
