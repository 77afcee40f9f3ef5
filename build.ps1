# Windows: makes the environment, the stubs from proto/, then shows the menu of services. Words after it go to the command
# line in place of the menu, as in `.\build.ps1 demo`. Everything it does is in lab.ps1 and in Python.
$lab = Join-Path $PSScriptRoot 'lab.ps1'
& $lab stubs
if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
& $lab @args
exit $LASTEXITCODE
