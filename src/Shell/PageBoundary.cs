using FineTuneStudio.Projects;
using Microsoft.AspNetCore.Components.Web;

namespace FineTuneStudio.Shell;

/// An error boundary that logs what is a fault and not what is a refusal.
public sealed class PageBoundary(ILogger<PageBoundary> log) : ErrorBoundary
{
    protected override Task OnErrorAsync(Exception exception)
    {
        if (exception is not AccessDenied) log.LogError(exception, "A page stopped");
        return Task.CompletedTask;
    }
}
