using System.Reflection;
using FineTuneStudio.Projects;
using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Components.Server.Circuits;
using Microsoft.AspNetCore.Http.Connections;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Patterns;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.StaticAssets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.JSInterop;

namespace FineTuneStudio.Tests.PermissionMatrix;

/// A way into the product that somebody outside could try, and what it says about who may use it.
public sealed record Door(string Name, NeedsAttribute? Needs, OpenAttribute? Open)
{
    private static Door Of(string name, IEnumerable<object> marks) => new(name, marks.OfType<NeedsAttribute>().FirstOrDefault(), marks.OfType<OpenAttribute>().FirstOrDefault());

    public static Door Of(Type page) => Of($"The page {page.Name}", page.GetCustomAttributes());

    public static Door Of(RouteEndpoint endpoint) => Of($"The endpoint {endpoint.DisplayName}", endpoint.Metadata);

    /// A script holds an instance of a page only where the page was let in, so the page's mark serves for it; a static method any script may call.
    public static Door Of(MethodInfo method) => Of($"{method.DeclaringType!.Name}.{method.Name}",
        method.IsDefined(typeof(JSInvokableAttribute)) && !method.IsStatic ? method.GetCustomAttributes().Concat(method.DeclaringType.GetCustomAttributes()) : method.GetCustomAttributes());

    /// What is wrong with the mark alone, before anybody knocks.
    public string? Fault => (Needs, Open) switch
    {
        (null, null) => $"{Name} carries neither Needs nor Open: say who may use it.",
        (not null, not null) => $"{Name} carries both Needs and Open: it can keep only one of them.",
        (null, { Why.Length: < 10 }) => $"{Name} is open without saying why that is safe.",
        _ => null,
    };

    /// Null where the caller may come in, else how they are turned away.
    public Denial? Refuses(Caller caller)
    {
        if (Needs is not null)
            return !caller.IsSignedIn ? Denial.SignIn : !caller.IsMember ? Denial.NoSuchProject
                : Permissions.Table.Single(l => l.Permission == Needs.Permission).Roles.Contains(caller.Role!.Value) ? null : Denial.RoleMissing;
        return Open!.Whom == OpenTo.Anyone ? null : !caller.IsSignedIn ? Denial.SignIn
            : Open.Whom == OpenTo.Administrator && !caller.IsAdministrator ? Denial.RoleMissing : null;
    }
}

/// Finds the doors of an assembly or of a running server, so that a new one cannot be forgotten.
public static class Doors
{
    public static IEnumerable<Type> Pages(Assembly assembly) => assembly.GetTypes().Where(t => t.GetCustomAttributes<RouteAttribute>().Any());

    /// Blazor's own beside its circuit, whose content goes through the pages and use cases, and the fallback of the static assets.
    private static readonly string[] Frameworks = ["/_blazor/disconnect/", "/_blazor/initializers/", "/_framework/opaque-redirect", "{**path:file}"];

    /// Every address that the server answers, less the framework's own, static assets (they hold nothing of anybody's) and the connections of hubs (each hub method is knocked at by itself).
    public static IEnumerable<RouteEndpoint> Endpoints(IServiceProvider services) => services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>()
        .Where(e => e.Metadata.GetMetadata<StaticAssetDescriptor>() is null && e.Metadata.GetMetadata<HubMetadata>() is null && !Frameworks.Contains(e.RoutePattern.RawText));

    /// The hubs, less Blazor's circuit, and where they are mapped.
    public static IEnumerable<(Type Hub, string Path)> Hubs(IServiceProvider services) => services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>()
        .Where(e => e.Metadata.GetMetadata<NegotiateMetadata>() is null && e.Metadata.GetMetadata<HubMetadata>() is { } hub && hub.HubType.Assembly != typeof(CircuitHandler).Assembly)
        .Select(e => (e.Metadata.GetMetadata<HubMetadata>()!.HubType, e.RoutePattern.RawText!)).Distinct();

    /// Methods that a script in the browser may call.
    public static IEnumerable<MethodInfo> Callbacks(Assembly assembly) => assembly.GetTypes()
        .SelectMany(t => t.GetMethods(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly))
        .Where(m => m.IsDefined(typeof(JSInvokableAttribute)));

    /// Classes of ours that the container hands out.
    public static IEnumerable<Type> Registered(IServiceCollection services, Assembly ours) =>
        services.Select(s => s.IsKeyedService ? s.KeyedImplementationType ?? s.ServiceType : s.ImplementationType ?? s.ImplementationInstance?.GetType() ?? s.ServiceType)
            .Where(t => t.Assembly == ours && t.IsClass && !t.IsGenericTypeDefinition).Distinct();

    /// Public methods that a page, endpoint or hub could call. Left out: accessors, disposal, and what only fulfils a contract of the framework,
    /// which calls it itself (StartAsync of a hosted service, OnCircuitOpenedAsync); statics, which reach nothing that was injected.
    public static IEnumerable<MethodInfo> Methods(Type type) => type.GetMethods(BindingFlags.Public | BindingFlags.Instance)
        .Where(m => !m.IsSpecialName && m.DeclaringType!.Assembly == type.Assembly && m.Name is not ("Dispose" or "DisposeAsync"))
        .Where(m => m.GetBaseDefinition().DeclaringType!.Assembly == type.Assembly && !FulfilsTheFramework(type, m));

    private static bool FulfilsTheFramework(Type type, MethodInfo method) => type.GetInterfaces().Where(i => i.Assembly != type.Assembly)
        .Any(i => type.GetInterfaceMap(i).TargetMethods.Contains(method));

    public static string PathOf(RouteEndpoint endpoint, string project) => "/" + string.Join('/', endpoint.RoutePattern.PathSegments
        .Where(s => s.Parts is not [RoutePatternParameterPart { IsOptional: true }])
        .Select(s => string.Concat(s.Parts.Select(p => p switch
        {
            RoutePatternLiteralPart literal => literal.Content,
            RoutePatternSeparatorPart separator => separator.Content,
            RoutePatternParameterPart { Name: "project" } => project,
            RoutePatternParameterPart parameter => parameter.ParameterPolicies.Any(c => c.Content is "int" or "long") ? "1" : parameter.ParameterPolicies.Any(c => c.Content == "guid") ? Guid.Empty.ToString() : "none",
            _ => "",
        }))));
}
