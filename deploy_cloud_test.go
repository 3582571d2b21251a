package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/digitalocean/godo"
	"gopkg.in/yaml.v3"

	"videotutorials/db/dbtest"
)

// filled puts something that makes sense into what a file leaves to be filled in, or to
// the platform.
func filled(value string) string {
	return strings.NewReplacer("${APP_URL}", "https://videos.example", "${views.DATABASE_URL}", "postgres://doadmin:secret@db.example:25060/video_tutorials?sslmode=require",
		"${messages.DATABASE_URL}", "postgres://doadmin:secret@db.example:25060/message_store?sslmode=require").Replace(value)
}

func TestDigitalOcean(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(".do/app.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var plain map[string]any
	if err := yaml.Unmarshal(text, &plain); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	var spec godo.AppSpec
	strict := json.NewDecoder(strings.NewReader(string(asJSON)))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&spec); err != nil {
		t.Fatalf(".do/app.yaml: %v", err)
	}
	stages := readDockerfile(t, dockerfile)
	image := environmentOf(stages[len(stages)-1])
	process := func(name, file string, own []*godo.AppVariableDefinition) deployed {
		if file != dockerfile {
			t.Errorf("%s is built from %s", name, file)
		}
		d := deployed{name: name, env: maps.Clone(image)}
		for _, v := range slices.Concat(spec.Envs, own) {
			d.env[v.Key] = filled(v.Value)
			if v.Value == "EDIT_ME" {
				d.env[v.Key] = map[string]string{"SMTP_URL": "smtps://mail.example:465"}[v.Key]
				if d.env[v.Key] == "" {
					d.env[v.Key] = strings.Repeat("filled", 8)
				}
			}
			if strings.Contains(d.env[v.Key], "${") {
				t.Errorf("%s: %s has %s, which nobody sets", name, v.Key, v.Value)
			}
		}
		return d
	}
	var processes []deployed
	for _, s := range spec.Services {
		d := process(s.Name, s.DockerfilePath, s.Envs)
		processes = append(processes, d)
		if fmt.Sprint(s.HTTPPort) != d.env["PORT"] {
			t.Errorf("%s is asked at port %d, and listens at %s", s.Name, s.HTTPPort, d.env["PORT"])
		}
		answers(t, ".do/app.yaml", s.HealthCheck.HTTPPath)
		if s.InstanceCount != 1 {
			t.Errorf("%d web containers have no folder for uploads in common", s.InstanceCount)
		}
	}
	for _, w := range spec.Workers {
		processes = append(processes, process(w.Name, w.DockerfilePath, w.Envs))
	}
	accepted(t, ".do/app.yaml", processes...)
	names := map[string]string{}
	for _, d := range spec.Databases {
		names["${"+d.Name+".DATABASE_URL}"] = d.DBName
	}
	if len(names) != 2 {
		t.Errorf("databases: %v", names)
	}
}

// beanstalk are the settings of Elastic Beanstalk for the program.
func beanstalk(t *testing.T) (options map[string]map[string]any, d deployed) {
	t.Helper()
	text, err := os.ReadFile(".ebextensions/site.config")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Options  map[string]map[string]any `yaml:"option_settings"`
		Commands map[string]struct{ Command string }
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	procfile, err := os.ReadFile("deploy/Procfile")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`^web: bin/video-tutorials (.+)\n$`).FindStringSubmatch(string(procfile))
	if line == nil {
		t.Fatalf("Procfile: %s", procfile)
	}
	d = deployed{"web", map[string]string{}, strings.Fields(line[1])}
	for name, value := range config.Options["aws:elasticbeanstalk:application:environment"] {
		d.env[name] = fmt.Sprint(value)
	}
	made := false
	for _, c := range config.Commands {
		made = made || strings.HasSuffix(c.Command, " "+d.env["DATA_DIR"])
	}
	if !made {
		t.Errorf("nobody makes the folder %s", d.env["DATA_DIR"])
	}
	return config.Options, d
}

func TestElasticBeanstalk(t *testing.T) {
	t.Parallel()
	options, d := beanstalk(t)
	accepted(t, ".ebextensions", d)
	process := options["aws:elasticbeanstalk:environment:process:default"]
	answers(t, ".ebextensions", fmt.Sprint(process["HealthCheckPath"]))
	if process["StickinessEnabled"] != true {
		t.Error("an upload that goes on must come to the machine that has its beginning")
	}
	heartbeat, kept := 20, 120 // seconds: of streams in app/live, of idle connections in main.go
	if idle, _ := options["aws:elbv2:loadbalancer"]["IdleTimeout"].(int); idle <= heartbeat || idle >= kept {
		t.Errorf("an idle timeout of %d s cuts streams or fails requests", idle)
	}
}

// What Elastic Beanstalk is given is unpacked, the program is started by the line of its
// Procfile, and nginx in front of it is told what the file in its .platform says.
func TestTheBundleRunsBehindNginx(t *testing.T) {
	t.Parallel()
	// The program that it is given is another one here, which packs faster.
	bundle := filepath.Join(t.TempDir(), "bundle.zip")
	if out, err := exec.CommandContext(within(t), "deploy/beanstalk.sh", "deploy/tools.sh", bundle).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	current := t.TempDir()
	unpack := exec.CommandContext(within(t), "unzip", "-q", bundle, "-d", current)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, d := beanstalk(t) // reads the same Procfile
	database := dbtest.New(t)
	env := environment(database)
	for name, value := range d.env {
		if name != "PORT" && name != "DATA_DIR" {
			env = append(env, name+"="+value)
		}
	}
	s := start(t, folder(t), env, d.args...)

	port := freePort(t)
	if info, err := os.Stat(filepath.Join(current, "bin", "video-tutorials")); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("the program in it: %v, %v", info, err)
	}
	// As Elastic Beanstalk's own, with the part that it includes.
	config := `daemon off; pid ` + current + `/nginx.pid; error_log stderr; events {}
http {
	access_log off; gzip on; proxy_buffer_size 4k;
	client_body_temp_path ` + current + `/body; proxy_temp_path ` + current + `/proxy; fastcgi_temp_path ` + current + `/f; uwsgi_temp_path ` + current + `/u; scgi_temp_path ` + current + `/s;
	server {
		listen 127.0.0.1:` + port + `;
		include ` + current + `/.platform/nginx/conf.d/elasticbeanstalk/*.conf;
		location / {
			proxy_pass ` + strings.Replace(s.url, "localhost", "127.0.0.1", 1) + `;
			proxy_http_version 1.1;
			proxy_set_header Host $http_host;
			proxy_set_header X-Real-IP $remote_addr;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
		}
	}
}
`
	if err := os.WriteFile(filepath.Join(current, "nginx.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	nginx := exec.Command("nginx", "-e", "stderr", "-p", current, "-c", filepath.Join(current, "nginx.conf"))
	nginx.Env = []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin"}
	if nginx.Err != nil { // where only root looks for it
		nginx.Path, nginx.Err = "/usr/sbin/nginx", nil
	}
	said := &output{grown: make(chan struct{})}
	nginx.Stdout, nginx.Stderr = said, said
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nginx.Process.Signal(os.Interrupt)
		nginx.Wait()
	})
	behind := *s
	behind.url = "http://localhost:" + port
	until(t, "nginx answers", func() bool {
		answer, err := http.Get("http://127.0.0.1:" + port + "/ready")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	// A frame comes through when it is written, and not when a buffer is full.
	id := lessonOf(t, &behind, database, "Behind nginx")
	frameWith(t, "http://127.0.0.1:"+port+"/videos/"+id+"/live", "watching-"+id)
	// Longer than what nginx takes by itself, which is 1 MB.
	owner := member(t, &behind, "nginx@example.test", goodPassword)
	long := filepath.Join(t.TempDir(), "long.mp4")
	if err := os.WriteFile(long, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	owner.handIn(long, "Long")
}

// stackTemplate is what CloudFormation is given, as far as the program has to do with it.
type stackTemplate struct {
	Metadata  struct{ MadeFrom string }
	Resources map[string]struct {
		Type       string
		Properties json.RawMessage
	}
}

func (s stackTemplate) each(t *testing.T, kind string, into func() any) (n int) {
	t.Helper()
	for name, r := range s.Resources {
		if r.Type == kind {
			n++
			if err := json.Unmarshal(r.Properties, into()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	return n
}

func TestECS(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("deploy/ecs/template.json")
	if err != nil {
		t.Fatal(err)
	}
	var stack stackTemplate
	if err := json.Unmarshal(text, &stack); err != nil {
		t.Fatal(err)
	}
	sources := sha256.New()
	for _, name := range []string{"package-lock.json", "stack.js", "template.js"} {
		source, err := os.ReadFile("deploy/ecs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		sources.Write(source)
	}
	if stack.Metadata.MadeFrom != hex.EncodeToString(sources.Sum(nil)) {
		t.Error("deploy/ecs/template.json is older than what it is made of: run make ecs")
	}

	type task struct {
		ContainerDefinitions []struct {
			Command              []string
			Environment, Secrets []struct {
				Name  string
				Value any
			}
			HealthCheck  struct{ Command []string }
			PortMappings []struct{ ContainerPort int }
			MountPoints  []struct{ ContainerPath string }
			StopTimeout  float64
		}
	}
	var tasks []*task
	stack.each(t, "AWS::ECS::TaskDefinition", func() any { tasks = append(tasks, &task{}); return tasks[len(tasks)-1] })
	stages := readDockerfile(t, dockerfile)
	last := stages[len(stages)-1]
	fromSecrets := map[string]string{
		"DATABASE_URL": "postgres://video_tutorials:secret@db.example:5432/video_tutorials?sslmode=require", "MESSAGE_STORE_CONNECTION_STRING": "postgres://video_tutorials:secret@db.example:5432/message_store?sslmode=require",
		"IDENTITY_KEY": strings.Repeat("k", 64), "COOKIE_SECRET": strings.Repeat("c", 64), "SMTP_URL": "smtps://user:password@mail.example:465",
	}
	var processes []deployed
	for _, task := range tasks {
		c := task.ContainerDefinitions[0]
		d := deployed{c.Command[len(c.Command)-1], environmentOf(last), c.Command}
		for _, v := range c.Environment {
			value, plain := v.Value.(string)
			if !plain { // put together by CloudFormation
				value = map[string]string{"BASE_URL": "https://videos.example", "MEDIA_BUCKET": "s3://media?region=eu-central-1"}[v.Name]
			}
			d.env[v.Name] = value
		}
		for _, v := range c.Secrets {
			d.env[v.Name] = fromSecrets[v.Name]
		}
		processes = append(processes, d)
		entry := in(last, "ENTRYPOINT")[0].list()
		if want := append([]string{"CMD"}, append(entry, "healthcheck")...); !slices.Equal(c.HealthCheck.Command, want) {
			t.Errorf("%s is asked for its health by %v", d.name, c.HealthCheck.Command)
		}
		for _, p := range c.PortMappings {
			if fmt.Sprint(p.ContainerPort) != d.env["PORT"] {
				t.Errorf("%s is asked at port %d, and listens at %s", d.name, p.ContainerPort, d.env["PORT"])
			}
		}
		for _, m := range c.MountPoints {
			if m.ContainerPath != d.env["DATA_DIR"] {
				t.Errorf("%s shares %s, and DATA_DIR is %s", d.name, m.ContainerPath, d.env["DATA_DIR"])
			}
		}
		if c.StopTimeout <= shutdownTime.Seconds() {
			t.Errorf("%s is killed before it has stopped", d.name)
		}
	}
	accepted(t, "deploy/ecs/template.json", processes...)

	var group struct{ HealthCheckPath string }
	if stack.each(t, "AWS::ElasticLoadBalancingV2::TargetGroup", func() any { return &group }) != 1 {
		t.Error("there must be one target group")
	}
	answers(t, "deploy/ecs/template.json", group.HealthCheckPath)
	// What the alarms look for is what the program writes.
	var filters []*struct{ FilterPattern string }
	stack.each(t, "AWS::Logs::MetricFilter", func() any {
		filters = append(filters, &struct{ FilterPattern string }{})
		return filters[len(filters)-1]
	})
	for _, f := range filters {
		words := regexp.MustCompile(`\{ \$\.(\w+) = "(.+)" \}`).FindStringSubmatch(f.FilterPattern)
		if words == nil {
			t.Fatalf("a filter: %s", f.FilterPattern)
		}
		if words[1] == "msg" && exec.Command("git", "grep", "-qF", `log.Error("`+words[2]+`"`, "--", "messagestore/*.go").Run() != nil {
			t.Errorf("nobody logs %q", words[2])
		}
	}
}
