//! What runs what it is told to, and is not followed.

use crate::operator::command::entry::{Entry, Kind, PLAIN};

pub(super) const TABLE: &[Entry] = &[
    // They start a program that their words name.
    Entry {
        names: "aa-exec at bash-static batch bwrap cage caffeinate capsh catchsegv cgexec chpst chroot choom \
            chronic cpulimit crontab dbus-launch dbus-run-session direnv distrobox dtach abduco dumb-init \
            eatmydata entr envdir envuidgid exo-open fakechroot fakeroot faketime firejail flock forever \
            gdb gdbserver gio gnome-open gosu hyperfine i386 ifne inotifywait kde-open ld.so ld-linux ldd \
            linux32 linux64 lldb lttng ltrace minijail0 mispipe newgrp nodemon nsenter numactl open \
            parallel perf pkexec pm2 prlimit proot proxychains pee pv-run rlwrap rr run-parts run0 runc \
            crun runcon runsv runuser schedtool script setarch setpriv setuidgid sftp sg softlimit \
            ssh-agent start-stop-daemon startx steam-run strace su su-exec sudoedit supervisord \
            systemd-inhibit systemd-nspawn systemd-run tini toolbox torsocks trickle tsocks uname26 \
            unbuffer unshare usbip uidmap valgrind vipe wsl x86_64 xdg-open xinit xterm xvfb-run zrun \
            bpftrace gpg-agent gpgconf watchexec autossh byobu clush daemon daemonize dsh env_parallel \
            foreman genv gnice gnohup gpg-connect-agent gksu gstdbuf gtime gtimeout gxargs insmod kdesu \
            kexec lckdo logrotate logsave lxc-attach modprobe mosh mprocs overmind pdsh pssh rexec rlogin \
            rsh sem sshpass sudo-rs sux systemd-cat systemd-socket-activate torify unshar usewithtor zellij \
            autoexpect dtrace stap rsyslogd socket tcpserver ucspi-tcp inetd xinetd chcon-run stress-ng \
            ssh-import-id anacron",
        kind: Kind::Never,
        ..PLAIN
    },
    // Languages: they run what they read, also from a pipe.
    Entry {
        names: "bc bun clisp csh dc deno elixir erl expect fish ghci gnuplot groovy gs guile irb java julia \
            jshell ksh latex lua lualatex luajit luatex m4 mksh nix-shell node nodejs ocaml osascript \
            pdflatex perl php powershell pwsh pypy python r racket rscript ruby scala swift tclsh tcsh tex \
            ts-node wish xelatex yash zsh coffee crystal csi dotnet elvish gforth gosh guild hush ipython \
            jimsh jupyter lein lksh maxima mono nim nu octave oil osh pdksh posh racket-cli raku rakudo \
            rbash runghc runhaskell sage sbcl tsx xonsh xsltproc zig rename prename file-rename perldoc \
            kotlin groovysh scheme mit-scheme chez dyalog",
        kind: Kind::Runs,
        ..PLAIN
    },
    // Editors and what has a shell behind a key or a command.
    Entry {
        names: "ed emacs emacsclient ex gvim info joe mail mailx mc mutt mysql nano nvim patch pico psql ranger \
            red rview rvim screen sqlite tmux top htop vi view vim vimdiff w3m lynx ftp telnet socat nc \
            ncat netcat mariadb mongo mongosh redis-cli duckdb elinks fzf lf lftp links nnn smbclient tftp \
            tig vifm lazygit isql pgcli mycli litecli sqlplus cqlsh influx micro helix hx kak jed ne mcedit",
        begins: "+",
        kind: Kind::Runs,
        ..PLAIN
    },
    // What they convert is read by programs of their own, and written to where a word says.
    Entry { names: "convert ffmpeg magick mogrify montage soffice libreoffice", kind: Kind::Runs, ..PLAIN },
    // Tools whose faces run what a project, a package, an image or another machine holds.
    Entry {
        names: "ansible ansible-playbook apt apt-get aptitude aws az brew bundle busctl cmake composer conda \
            ctest dnf docker-compose dpkg flatpak gcloud gem glab go gradle guix hatch helm hg hub \
            hostnamectl just kustomize localectl loginctl lxc machinectl meson mise mvn networkctl ninja \
            nix npx opkg pacman pip pipx pnpm podman podman-compose poetry pulumi rake resolvectl rpm \
            rustup snap svn terraform timedatectl tofu tox uv uvx vagrant virsh yarn yum zypper bazel buck \
            nerdctl kubectx asdf multipass act ant argocd bazelisk buildah bzr cabal crictl ctr cvs darcs \
            earthly eksctl fly flyctl fossil grunt gulp heroku invoke jest k3s kind lerna make-kpkg \
            minikube mix mocha nox nx oc pants pre-commit pytest rebar3 sbt scons skaffold stack task tilt \
            turbo vite vitest waf webpack wrangler xmake yadm chezmoi",
        kind: Kind::Runs,
        ..PLAIN
    },
];
