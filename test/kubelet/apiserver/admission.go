package main

import (
	"context"
	"errors"
	"fmt"

	v1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	dynamic "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/admissionregistration"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/generated/openapi"
)

// checkTypes looks whether the expressions name fields that there are. The API
// server does it of its own accord after a policy was created, but passes by what
// is in variables and conditions.
func checkTypes(policy *admissionregistration.ValidatingAdmissionPolicy) error {
	var versioned v1.ValidatingAdmissionPolicy
	if err := legacyscheme.Scheme.Convert(policy, &versioned, nil); err != nil {
		return err
	}
	checker := validating.TypeChecker{
		SchemaResolver: resolver.NewDefinitionsSchemaResolver(openapi.GetOpenAPIDefinitions, legacyscheme.Scheme),
		RestMapper:     restMapper(),
	}
	ctx := checker.CreateContext(&versioned)
	var faults []error
	for name, expression := range expressions(&versioned.Spec) {
		if fault := checker.CheckExpression(ctx, expression).String(); fault != "" {
			faults = append(faults, fmt.Errorf("%s: %s: %s", policy.Name, name, fault))
		}
	}
	return errors.Join(faults...)
}

// expressions has all that a policy computes.
func expressions(spec *v1.ValidatingAdmissionPolicySpec) map[string]string {
	all := make(map[string]string)
	for _, v := range spec.Variables {
		all["variable "+v.Name] = v.Expression
	}
	for _, c := range spec.MatchConditions {
		all["condition "+c.Name] = c.Expression
	}
	for i, v := range spec.Validations {
		all[fmt.Sprint("validation ", i)] = v.Expression
		if v.MessageExpression != "" {
			all[fmt.Sprint("message ", i)] = v.MessageExpression
		}
	}
	return all
}

func restMapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	m.Add(corev1.SchemeGroupVersion.WithKind("Pod"), meta.RESTScopeNamespace)
	return m
}

// An admitter is the API server's admission plugin for ValidatingAdmissionPolicies.
type admitter struct {
	plugin *validating.Plugin
	client *fake.Clientset
}

func newAdmitter(policies []runtime.Object) (*admitter, error) {
	client := fake.NewSimpleClientset()
	for _, o := range policies {
		versioned, err := legacyscheme.Scheme.ConvertToVersion(o, v1.SchemeGroupVersion)
		if err == nil {
			err = client.Tracker().Add(versioned)
		}
		if err != nil {
			return nil, err
		}
	}
	never := make(chan struct{})
	factory := informers.NewSharedInformerFactory(client, 0)
	plugin := validating.NewPlugin(nil)
	plugin.SetExternalKubeClientSet(client)
	plugin.SetExternalKubeInformerFactory(factory)
	plugin.SetDynamicClient(dynamic.NewSimpleDynamicClient(legacyscheme.Scheme))
	plugin.SetRESTMapper(restMapper())
	plugin.SetAuthorizer(authorizerfactory.NewAlwaysAllowAuthorizer())
	plugin.SetDrainedNotification(never)
	if err := plugin.ValidateInitialization(); err != nil {
		return nil, err
	}
	factory.Start(never)
	factory.WaitForCacheSync(never)
	return &admitter{plugin, client}, nil
}

// pod returns the error of the policy that refuses the pod. Its namespace is made.
func (a *admitter) pod(p, old *core.Pod, subresource string, operation admission.Operation) error {
	err := a.client.Tracker().Add(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.Namespace}})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	var oldObject runtime.Object // not a nil pointer in an interface
	if old != nil {
		oldObject = old
	}
	attributes := admission.NewAttributesRecord(p, oldObject, corev1.SchemeGroupVersion.WithKind("Pod"), p.Namespace, p.Name,
		corev1.SchemeGroupVersion.WithResource("pods"), subresource, operation, nil, false, &user.DefaultInfo{})
	return a.plugin.Validate(context.Background(), attributes, admission.NewObjectInterfacesFromScheme(legacyscheme.Scheme))
}
