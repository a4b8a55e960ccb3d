using FineTuneStudio.Projects;
using Microsoft.AspNetCore.Components.Web;
using Microsoft.JSInterop;

namespace FineTuneStudio.Shell;

/// An error boundary that logs what is a fault: neither a refusal, nor the end of loading for somebody who has already left.
public sealed class PageBoundary(ILogger<PageBoundary> log, IHostApplicationLifetime life) : ErrorBoundary, IDisposable
{
    private bool left;

    protected override Task OnErrorAsync(Exception exception)
    {
        var nobodyWaits = (left || life.ApplicationStopping.IsCancellationRequested) && exception is (ObjectDisposedException or OperationCanceledException or JSDisconnectedException);
        if (exception is not AccessDenied && !nobodyWaits) log.LogError(exception, "A page stopped");
        return Task.CompletedTask;
    }

    public void Dispose() => left = true;
}
