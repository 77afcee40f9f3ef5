# The command line of gRPC Trace Lab on Windows. First use makes .venv from the hashed requirements; later uses only start
# Python. PYTHON names the interpreter to build with; it is looked for otherwise. Does what the script `lab` does elsewhere.
$ErrorActionPreference = 'Stop'

$root = $PSScriptRoot
$venv = Join-Path $root '.venv'
$python = Join-Path $venv 'Scripts\python.exe'
$unfinished = Join-Path $venv 'lab-unfinished'
$stampRoot = Join-Path $venv 'lab-root'
$verb = $args | Where-Object { "$_" -notlike '-*' } | Select-Object -First 1
$wanted = if ($verb -eq 'test') { 'requirements-dev.txt' } else { 'requirements.txt' }
$stamp = Join-Path $venv "lab-$wanted"

function Stop-WithHint([string] $Message, [string] $Hint) {
    [Console]::Error.WriteLine("error: $Message")
    [Console]::Error.WriteLine("hint: $Hint")
    exit 1
}

function Get-Text([string] $Path) { if (Test-Path $Path) { [IO.File]::ReadAllText($Path) } else { '' } }

function Test-Ready {
    (Test-Path $python) -and -not (Test-Path $unfinished) -and (Get-Text $stampRoot) -eq $root -and
    (Get-Text $stamp) -eq (Get-Text (Join-Path $root $wanted))
}

function Find-Python {
    $candidates = @(@('py', '-3.13'), @('py', '-3.12'), @('py', '-3.11'), @('python3'), @('python'))
    if ($env:PYTHON) { $candidates = , @($env:PYTHON) }
    foreach ($candidate in $candidates) {
        if (-not (Get-Command $candidate[0] -ErrorAction SilentlyContinue)) { continue }
        $rest = @($candidate | Select-Object -Skip 1)
        try { $found = & $candidate[0] @rest -c 'import sys; print(sys.executable) if sys.version_info >= (3, 11) else None' 2>$null }
        catch { continue }
        if ($LASTEXITCODE -eq 0 -and $found) { return "$found" }
    }
}

function New-Venv {
    $base = Find-Python
    if ($env:PYTHON -and -not $base) {
        Stop-WithHint "PYTHON=$env:PYTHON is no Python 3.11 or newer" 'name another, or unset PYTHON to let .\lab.ps1 look'
    }
    if (Get-Command uv -ErrorAction SilentlyContinue) {
        $version = if ($base) { $base } else { '>=3.11' }
        & uv venv --quiet --python $version $venv
    } elseif ($base) {
        & $base -m venv $venv
    } else {
        Stop-WithHint 'no Python 3.11 or newer found' 'install one from python.org, or name it: $env:PYTHON = "C:\path\to\python.exe"'
    }
    if ($LASTEXITCODE -ne 0) { Stop-WithHint "could not make $venv" 'see the message above' }
}

function Install-Requirements {
    $arguments = @('install', '--quiet', '--no-deps', '--require-hashes', '--requirement', (Join-Path $root $wanted))
    if (Get-Command uv -ErrorAction SilentlyContinue) { & uv pip @arguments --python $python }
    else { & $python -m pip @arguments --disable-pip-version-check --no-input }
    if ($LASTEXITCODE -ne 0) {
        Stop-WithHint "the packages of $wanted could not be installed" 'see the message above; the next .\lab.ps1 starts over'
    }
}

if (-not (Test-Ready)) {
    $mutex = New-Object Threading.Mutex($false, 'grpc-trace-lab-venv') # one process builds, others wait; freed when it dies
    try { [void] $mutex.WaitOne() } catch [Threading.AbandonedMutexException] { }
    try {
        if (-not (Test-Ready)) {
            [Console]::Error.WriteLine("lab: installing the locked packages of $wanted into .venv (once; about a minute)")
            $moved = (Test-Path $stampRoot) -and (Get-Text $stampRoot) -ne $root
            if ((Test-Path $venv) -and ((Test-Path $unfinished) -or $moved -or -not (Test-Path $python))) {
                Remove-Item -Recurse -Force $venv
            }
            if (-not (Test-Path $venv)) { New-Venv }
            [IO.File]::WriteAllText($unfinished, '')
            Install-Requirements
            Copy-Item (Join-Path $root $wanted) $stamp
            Copy-Item (Join-Path $root 'requirements.txt') (Join-Path $venv 'lab-requirements.txt')
            [IO.File]::WriteAllText($stampRoot, $root)
            Remove-Item $unfinished
        }
    } finally { $mutex.ReleaseMutex() }
}

$env:PYTHONPATH = if ($env:PYTHONPATH) { "$root;$env:PYTHONPATH" } else { $root }
$env:PYTHONUTF8 = '1'
& $python -P -m clients.cli @args
exit $LASTEXITCODE
